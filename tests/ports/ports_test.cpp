// What the ports to the real world decide without a socket, as tables: what an answer means, signatures, templates,
// addresses, rates, letters. The sockets are tests/end_to_end/real_ports'.

#define BOOST_TEST_MODULE ports
#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "actors/notification/rules.hpp"
#include "bridges/carrier/carrier.hpp"
#include "bridges/curl/rate.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/notices/mail.hpp"
#include "bridges/notices/message.hpp"
#include "bridges/notices/templates.hpp"
#include "bridges/notices/webhook.hpp"
#include "bridges/payment/gateway.hpp"
#include "bridges/signing/signature.hpp"

using namespace cartwright;
using json::Json;

namespace {

Act act_of(Step step, int attempt = 1) {
  Act act;
  act.key = "o-1";
  act.order = OrderId{"o-1"};
  act.user = UserId{"u-1"};
  act.step = step;
  act.attempt = attempt;
  act.amount = 900;
  act.currency = "EUR";
  if (step == Step::refund) act.txn = TxnId{"txn-1"};
  return act;
}

curl::Response answer(int status, std::string body = {}) { return {status, true, std::move(body), {}, {}}; }
curl::Response broken(int status = 0) { return {status, false, {}, "the connection was closed", {}}; }

std::string said(const std::optional<Outcome>& outcome) {
  if (!outcome) return "again";
  if (outcome->answer == Answer::done) return "done " + outcome->reference;
  return (outcome->answer == Answer::refused ? "refused " : "unknown ") + outcome->detail;
}

std::string header(const curl::Request& request, const std::string& name) {
  for (const std::string& one : request.mail ? request.mail->headers : request.headers)
    if (one.starts_with(name + ": ")) return one.substr(name.size() + 2);
  return {};
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_status_is_done_or_refused_or_unknown) {
  struct Row { int status; Answer http; };
  for (const Row& row : {Row{200, Answer::done}, {201, Answer::done}, {202, Answer::done}, {204, Answer::done},
                         {301, Answer::unknown}, {302, Answer::unknown}, {400, Answer::refused}, {401, Answer::unknown},
                         {402, Answer::refused}, {403, Answer::unknown}, {404, Answer::refused}, {407, Answer::unknown},
                         {408, Answer::unknown}, {409, Answer::unknown}, {410, Answer::refused}, {422, Answer::refused},
                         {425, Answer::unknown}, {429, Answer::unknown}, {500, Answer::unknown}, {501, Answer::unknown},
                         {502, Answer::unknown}, {503, Answer::unknown}, {504, Answer::unknown}, {0, Answer::unknown}})
    BOOST_TEST_CONTEXT(row.status) { BOOST_TEST((curl::answer_of_http(answer(row.status)) == row.http)); }
  for (int status : {0, 200, 402}) BOOST_TEST((curl::answer_of_http(broken(status)) == Answer::unknown));

  BOOST_TEST((curl::answer_of_smtp(answer(250)) == Answer::done));
  for (const Row& row : {Row{0, Answer::unknown}, {354, Answer::unknown}, {421, Answer::unknown}, {450, Answer::unknown},
                         {451, Answer::unknown}, {500, Answer::refused}, {530, Answer::unknown}, {535, Answer::unknown},
                         {550, Answer::refused}, {552, Answer::refused}, {554, Answer::refused}})
    BOOST_TEST_CONTEXT("SMTP " << row.status) { BOOST_TEST((curl::answer_of_smtp(broken(row.status)) == row.http)); }
}

BOOST_AUTO_TEST_CASE(a_no_to_one_question_is_no_trouble_of_the_server) {
  for (int status : {200, 402, 404, 422}) BOOST_TEST(curl::trouble_of_http(answer(status)).empty());
  for (int status : {301, 401, 403, 429, 500, 503}) BOOST_TEST(!curl::trouble_of_http(answer(status)).empty());
  BOOST_TEST(!curl::trouble_of_http(broken()).empty());
  BOOST_TEST(curl::trouble_of_smtp(broken(550)).empty());
  BOOST_TEST(!curl::trouble_of_smtp(broken(535)).empty());
  BOOST_TEST(!curl::trouble_of_smtp(broken(451)).empty());
}

BOOST_AUTO_TEST_CASE(a_gateway_s_answer_is_believed_only_when_it_is_one) {
  const Act charge = act_of(Step::charge), refund = act_of(Step::refund);
  Act query = charge;
  query.query = true;
  struct Row { const Act& act; curl::Response response; std::string says; };
  for (const Row& row : {
           Row{charge, answer(200, R"({"status":"succeeded","txn_id":"t-9"})"), "done t-9"},
           {charge, answer(201, R"({"status":"succeeded","txn_id":"t-9","amount":900,"order_id":"o-1"})"), "done t-9"},
           {charge, answer(200, R"({"status":"succeeded","txn_id":"t-9","amount":901})"), "again"},
           {charge, answer(200, R"({"status":"succeeded","txn_id":"t-9","order_id":"o-2"})"), "again"},
           {charge, answer(200, R"({"status":"succeeded"})"), "again"},
           {charge, answer(200, R"({"status":"succeeded","txn_id":7})"), "again"},
           {charge, answer(200, R"({"txn_id":"t-9"})"), "again"},
           {charge, answer(202, R"({"status":"pending"})"), "again"},
           {charge, answer(200, R"({"status":"declined","reason":"insufficient_funds"})"), "refused insufficient_funds"},
           {charge, answer(200, R"({"status":"declined"})"), "refused declined"},
           {charge, answer(200, ""), "again"},
           {charge, answer(200, "<html>"), "again"},
           {charge, answer(200, "[1]"), "again"},
           {charge, answer(204), "again"},
           {charge, answer(402, R"({"reason":"do not\nhonour"})"), "refused do not honour"},
           {charge, answer(402, "no"), "refused http_402"},
           {charge, answer(409, R"({"reason":"in progress"})"), "again"},
           {charge, answer(503, R"({"status":"succeeded","txn_id":"t-9"})"), "again"},
           {charge, broken(200), "again"},
           {charge, answer(404), "refused http_404"},
           {query, answer(404), "unknown forgotten"},
           {query, answer(410), "unknown forgotten"},
           {query, answer(400), "again"},
           {query, answer(500), "again"},
           {query, answer(200, R"({"status":"succeeded","txn_id":"t-9"})"), "done t-9"},
           {query, answer(200, R"({"status":"failed"})"), "refused failed"},
           {refund, answer(200, R"({"status":"succeeded"})"), "done txn-1"},
           {refund, answer(422, R"({"code":"charge_disputed"})"), "refused charge_disputed"},
       })
    BOOST_TEST_CONTEXT(row.response.status << " " << row.response.body) {
      BOOST_TEST(said(payment_http::outcome_of_answer(row.act, row.response)) == row.says);
    }
  const auto outcome = payment_http::outcome_of_answer(act_of(Step::refund, 3), answer(200, R"({"status":"succeeded"})"));
  BOOST_TEST((outcome->key == "o-1" && outcome->step == Step::refund && outcome->attempt == 3));
}

BOOST_AUTO_TEST_CASE(a_question_to_the_gateway_has_its_effect_s_key) {
  const auto dialect = payment_http::gateway({"https://pay.example/v1", "sk_1", std::chrono::milliseconds(700)});
  Act act = act_of(Step::charge, 2);
  act.token = "tok";
  act.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  auto request = std::get<curl::Request>(dialect.ask(act));
  BOOST_TEST((request.method == "POST" && request.url == "https://pay.example/v1/charges"));
  BOOST_TEST(request.timeout.count() == 700);
  BOOST_TEST(header(request, "Idempotency-Key") == "o-1/charge/2");
  BOOST_TEST(header(request, "Authorization") == "Bearer sk_1");
  BOOST_TEST(header(request, "traceparent") == act.traceparent);
  BOOST_TEST(header(request, "Content-Type") == "application/json");
  BOOST_TEST(json::parse(request.body) ==
             json::parse(R"({"key":"o-1/charge/2","order_id":"o-1","amount":900,"currency":"EUR","user_id":"u-1","payment_token":"tok"})"));
  act.traceparent = "x\r\nX-Evil: 1";
  BOOST_TEST(header(std::get<curl::Request>(dialect.ask(act)), "traceparent").empty());

  request = std::get<curl::Request>(dialect.ask(act_of(Step::refund)));
  BOOST_TEST(request.url == "https://pay.example/v1/refunds");
  BOOST_TEST(json::parse(request.body)["txn_id"] == "txn-1");
  act.query = true;
  request = std::get<curl::Request>(dialect.ask(act));
  BOOST_TEST((request.method == "GET" && request.url == "https://pay.example/v1/charges/o-1%2Fcharge%2F2" && request.body.empty()));

  act = act_of(Step::charge);
  act.amount = 0;  // nothing to take: nobody is asked
  BOOST_TEST(said(std::get<Outcome>(dialect.ask(act))) == "done free-o-1");
  BOOST_TEST(std::holds_alternative<std::monostate>(dialect.ask(act_of(Step::book))));
}

BOOST_AUTO_TEST_CASE(a_carrier_is_done_when_there_is_a_tracking_id) {
  const Act act = act_of(Step::book);
  BOOST_TEST(said(carrier_http::outcome_of_answer(act, answer(201, R"({"tracking_id":"T1"})"))) == "done T1");
  for (const char* body : {"", "{}", R"({"tracking_id":""})", R"({"tracking_id":1})", "garbage"})
    BOOST_TEST(said(carrier_http::outcome_of_answer(act, answer(202, body))) == "again");
  BOOST_TEST(said(carrier_http::outcome_of_answer(act, answer(422, R"({"reason":"no such street"})"))) == "refused no such street");
  BOOST_TEST(said(carrier_http::outcome_of_answer(act, answer(500))) == "again");
  Act more = act;
  more.extras = R"("ship_to":{"city":"Ulm"},"contact":{"email":"a@b"})";
  const auto request = std::get<curl::Request>(carrier_http::carrier({"http://c", "", std::chrono::milliseconds(1)}).ask(more));
  BOOST_TEST(request.url == "http://c/shipments");
  BOOST_TEST(json::parse(request.body)["ship_to"]["city"] == "Ulm");
  BOOST_TEST(header(request, "Authorization").empty());
  BOOST_TEST(header(request, "Idempotency-Key") == "o-1/book/1");
}

BOOST_AUTO_TEST_CASE(an_effect_key_fits_a_header_and_can_be_read_back) {
  Act act = act_of(Step::notify);
  act.key = "o-1/gr\xc3\xbc\xc3\x9f % x";
  act.channel = "sms";
  BOOST_TEST(curl::effect_key(act) == "o-1/gr%C3%BC%C3%9F%20%25%20x/sms");
  for (Step step : {Step::charge, Step::refund, Step::book}) {
    const auto effect = curl::read_effect_key(curl::effect_key(act_of(step, 12)));
    BOOST_TEST((effect && effect->order == "o-1" && effect->step == step && effect->attempt == 12));
  }
  for (const char* key : {"", "/", "o-1", "o-1/charge", "o-1/charge/", "o-1/charge/0", "o-1/charge/x", "o-1/charge/1x",
                          "o-1/sell/1", "/charge/1", "a b/charge/1", "o/1/charge/1", "o-1/charge/99999999999"})
    BOOST_TEST(!curl::read_effect_key(key).has_value());
}

BOOST_AUTO_TEST_CASE(a_signature_is_by_our_secret_over_these_bytes_and_of_now) {
  using signing::fault_of;
  const std::string secret = "whsec_0123456789abcdef", body = R"({"type":"charge.succeeded"})";
  constexpr std::int64_t now = 1'790'000'000;
  // Reference: printf '%s.%s' 1790000000 BODY | openssl dgst -sha256 -hmac SECRET
  const std::string right = signing::sign(secret, body, now);
  BOOST_TEST(right == "t=1790000000,v1=dcc6da5d35b10562abe6aa211ec2820c20211def3236a6a8ae1f8a33ae33e8cf");
  const std::string mac = right.substr(right.find("v1="));
  struct Row { std::string header, body; std::int64_t now; bool good; };
  for (const Row& row : {
           Row{right, body, now, true},
           {right, body, now + 300, true},
           {right, body, now - 300, true},
           {right, body, now + 301, false},
           {right, body, now - 301, false},
           {right, body + " ", now, false},
           {"t=1790000001," + mac, body, now, false},
           {" " + mac + " , v0=zz , t=1790000000", body, now, true},
           {"t=1790000000,v1=00," + mac, body, now, true},
           {"t=1790000000,v1=" + std::string(64, '0'), body, now, false},
           {"t=1790000000,v1=" + mac.substr(3, 63), body, now, false},
           {"t=1790000000", body, now, false},
           {mac, body, now, false},
           {"t=soon," + mac, body, now, false},
           {"t=-1," + mac, body, now, false},
           {"", body, now, false},
           {",,,=", body, now, false},
       })
    BOOST_TEST_CONTEXT(row.header) { BOOST_TEST(fault_of(row.header, row.body, {"other", secret}, row.now).empty() == row.good); }
  BOOST_TEST(!fault_of(right, body, {}, now).empty());
  BOOST_TEST(!fault_of(right, body, {secret + "x"}, now).empty());
  BOOST_TEST(signing::digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
}

BOOST_AUTO_TEST_CASE(a_template_is_found_by_occasion_and_channel_and_filled_in) {
  notices::Templates templates;
  const notices::Values values{{"name", "Ada"}, {"order_id", "o-1"}, {"occasion", "x"}, {"channel", "email"}, {"text", "Hello\r\nBcc: evil"}};
  for (const TopicInfo& topic : topics()) BOOST_TEST(!templates.render(topic.name, "email", values).text.empty());
  BOOST_TEST(templates.render("order.placed", "email", values).subject == "We have received your order o-1");
  BOOST_TEST(templates.render("order.placed", "sms", values).text == "Hello\r\nBcc: evil Order o-1");  // default.sms
  BOOST_TEST(templates.add("order.placed.sms.txt", "Subject: s\n\nHi {{ name }}!").empty());
  BOOST_TEST(templates.render("order.placed", "sms", values).text == "Hi Ada!");
  BOOST_TEST(templates.add("own.txt", "Subject: {{text}}\r\n\r\n{{order_id}}\n").empty());
  const auto own = templates.render("own", "email", values);
  BOOST_TEST(own.subject == "Hello  Bcc: evil");  // one line, whatever is filled in
  BOOST_TEST(own.text == "o-1\n");
  BOOST_TEST(templates.render("own:3f", "email", values).text == own.text);
  BOOST_TEST(templates.render("never.heard", "email", values).text == "Hello\r\nBcc: evil\n\nOrder: o-1\n");
  for (const char* wrong : {"", "Hello", "Subject: a {{nme}}\n\nx", "Subject: a\n\n{{order_id", "subject: a\n\nb"})
    BOOST_TEST(!templates.add("a.txt", wrong).empty());
  for (const char* name : {"a.html", ".txt", "a"}) BOOST_TEST(!templates.add(name, "Subject: a\n\nb").empty());
  BOOST_TEST(!templates.load("/nowhere/at/all").empty());
}

BOOST_AUTO_TEST_CASE(an_address_is_taken_from_the_contact_or_there_is_none) {
  struct Row { const char* extras; const char* channel; const char* address; };
  for (const Row& row : {
           Row{R"("contact":{"email":"ada@example.org"})", "email", "ada@example.org"},
           {R"("ship_to":{"contact":{"email":"x@y"}},"contact":{"email":"a.b+c@d-e.org"})", "email", "a.b+c@d-e.org"},
           {R"("contact":{"email":"a@b\r\nRCPT TO:<x@y>"})", "email", ""},
           {R"("contact":{"email":"a b@c"})", "email", ""},
           {R"("contact":{"email":"a@b>"})", "email", ""},
           {R"("contact":{"email":"-oX@b"})", "email", ""},
           {R"("contact":{"email":"@b"})", "email", ""},
           {R"("contact":{"email":"a@"})", "email", ""},
           {R"("contact":{"email":"ab"})", "email", ""},
           {R"("contact":{"email":["a@b"]})", "email", ""},
           {R"("contact":{"phone":"+49 (731) 12-34"})", "sms", "+49 (731) 12-34"},
           {R"("contact":{"phone":"call me"})", "sms", ""},
           {R"("contact":{"phone":49})", "sms", ""},
           {R"("contact":{"push_token":"ExponentPushToken[x]"})", "push", "ExponentPushToken[x]"},
           {R"("contact":{"push_token":"a b"})", "push", ""},
           {R"("contact":{"email":"a@b"})", "sms", ""},
           {R"("contact":{"email":"a@b"})", "fax", ""},
           {R"("contact":"a@b")", "email", ""},
           {"", "email", ""},
           {"garbage", "email", ""},
       })
    BOOST_TEST_CONTEXT(row.extras) { BOOST_TEST(notices::read_contact(row.extras).address(row.channel) == row.address); }
}

BOOST_AUTO_TEST_CASE(a_rate_is_kept_on_the_average_with_a_second_s_worth_at_once) {
  using std::chrono::milliseconds;
  const curl::Rate::Time start{std::chrono::hours(1)};
  curl::Rate rate(4);
  int taken = 0;
  for (int ms = 0; ms < 10'000; ms += 10)
    if (rate.take(start + milliseconds(ms))) ++taken;
  BOOST_TEST(taken >= 4 + 38);
  BOOST_TEST(taken <= 4 + 41);
  curl::Rate slow(0.5);
  BOOST_TEST(slow.take(start));
  BOOST_TEST(!slow.take(start));
  BOOST_TEST(slow.wait(start).count() == 2000);
  BOOST_TEST(slow.wait(start + milliseconds(1500)).count() == 500);
  BOOST_TEST(slow.take(start + milliseconds(2000)));
  curl::Rate free(0);
  for (int i = 0; i < 1000; ++i) BOOST_TEST(free.take(start));
}

BOOST_AUTO_TEST_CASE(a_letter_has_the_same_id_whenever_it_is_sent) {
  notices::MailOptions options{"smtp://mail.example:587", "shop@example.org", "u", "p", std::chrono::milliseconds(1)};
  notices::Message message{"o-1/order.placed/email", "email", "ada@example.org", "o-1", "order.placed", "Gr\xc3\xbc\xc3\x9f" "e", "one\ntwo\r\n"};
  const auto first = notices::mail_request(options, message, 1'790'000'000'000);
  const auto again = notices::mail_request(options, message, 1'790'000'100'000);
  BOOST_TEST(header(first, "Message-ID") == header(again, "Message-ID"));
  BOOST_TEST(first.mail->text == "one\r\ntwo\r\n");
  BOOST_TEST(header(first, "Message-ID").ends_with("@example.org>"));
  BOOST_TEST(header(first, "Date") == "Mon, 21 Sep 2026 14:13:20 +0000");
  BOOST_TEST(header(first, "Subject") == "=?UTF-8?B?R3LDvMOfZQ==?=");
  BOOST_TEST((first.mail->from == "shop@example.org" && first.mail->to == "ada@example.org" && first.mail->must_encrypt));
  message.key = "o-1/order.placed/email2";
  BOOST_TEST(header(notices::mail_request(options, message, 0), "Message-ID") != header(first, "Message-ID"));
  struct Row { const char* url; const char* password; bool must; };
  for (const Row& row : {Row{"smtp://h", "p", true}, {"smtp://h", "", false}, {"smtp://u:p@h", "", true}, {"smtps://h", "p", false},
                         {"smtp://127.0.0.1:25", "p", false}, {"smtp://localhost", "p", false}, {"smtp://u:p@127.0.0.1", "", false},
                         {"smtp://localhost@h", "", true}})
    BOOST_TEST_CONTEXT(row.url) { BOOST_TEST(notices::must_encrypt({row.url, "a@b", "", row.password, {}}) == row.must); }
  const std::string longer = notices::header_text(std::string(60, 'a') + "\xc3\xbc");
  BOOST_TEST(longer.find("?= =?UTF-8?B?") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_webhook_s_message_is_signed) {
  const notices::WebhookOptions options{"http://hook/sms", "key", "0123456789abcdef", std::chrono::milliseconds(1)};
  const notices::Message message{"o-1/order.placed/sms", "sms", "+49", "o-1", "order.placed", "s", "t"};
  const auto request = notices::webhook_request(options, message, 1'790'000'000'000);
  BOOST_TEST(signing::fault_of(header(request, "Cartwright-Signature"), request.body, {"0123456789abcdef"}, 1'790'000'000).empty());
  BOOST_TEST(header(request, "Idempotency-Key") == message.key);
  BOOST_TEST(json::parse(request.body)["to"] == "+49");
  BOOST_TEST(header(notices::webhook_request({"http://h", "", "", {}}, message, 0), "Cartwright-Signature").empty());
}

BOOST_AUTO_TEST_CASE(a_lane_has_bounds_and_a_server_that_says_nothing_ends_in_unknown) {
  using namespace std::chrono_literals;
  const int silent = socket(AF_INET, SOCK_STREAM, 0);  // takes connections and never reads
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(bind(silent, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(silent, 16) == 0);
  getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size);
  setenv("no_proxy", "127.0.0.1", 1);

  std::mutex mutex;
  std::condition_variable more;
  std::vector<curl::Response> heard;
  std::vector<std::string> troubles;
  curl::ClientOptions options;
  options.state = [&](const std::string& lane, const std::string& trouble) {
    const std::lock_guard lock(mutex);
    troubles.push_back(lane + ": " + trouble);
  };
  curl::Client client(options);
  auto lane = client.lane({"silent", 1, 2, 0});
  auto submit = [&](std::chrono::milliseconds timeout) {
    curl::Request request;
    request.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    request.timeout = timeout;
    return lane->submit(std::move(request), [&](curl::Response response) {
      const std::lock_guard lock(mutex);
      heard.push_back(std::move(response));
      more.notify_all();
    });
  };
  BOOST_TEST(submit(2000ms));
  while (lane->view().under_way == 0) std::this_thread::sleep_for(1ms);
  BOOST_TEST(submit(100ms));
  BOOST_TEST(submit(100ms));
  BOOST_TEST(!submit(100ms));  // one is under way and two wait
  BOOST_TEST((lane->view().under_way == 1 && lane->view().waiting == 2 && lane->view().turned_away == 1));
  std::unique_lock lock(mutex);
  BOOST_REQUIRE(more.wait_for(lock, 60s, [&] { return heard.size() == 3; }));
  for (const curl::Response& response : heard) BOOST_TEST((!response.complete && !response.fault.empty()));
  BOOST_TEST(troubles.size() == 1u);  // three one after another are told once
  lock.unlock();
  BOOST_TEST((lane->view().unknown == 3 && lane->view().under_way == 0 && !lane->view().trouble.empty()));

  BOOST_TEST(submit(3'600'000ms));
  client.close();  // does not wait for what is under way
  BOOST_TEST(!submit(100ms));
  close(silent);
}
