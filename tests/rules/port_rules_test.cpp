// What the roles decide where their ports are real: keys that grow too old, answers that come by themselves, several
// channels of a notice.

#include <boost/test/unit_test.hpp>

#include "actors/notification/rules.hpp"
#include "actors/payment/rules.hpp"
#include "actors/shipping/rules.hpp"

using namespace cartwright;

namespace {

constexpr Millis now = 1'790'000'000'000, day = 24 * 3'600'000;

Settings with_real_ports() {
  Settings settings;
  settings.key_ttl = day;
  settings.channels = {{"email", true}, {"sms", true}, {"push", false}};
  return settings;
}
const Settings settings = with_real_ports();

Input record(Topic topic, const std::string& extras = {}) {
  auto made = std::make_shared<Record>();
  made->topic = made->event.topic = topic;
  made->event.order = OrderId{"o-1"};
  made->event.user = UserId{"u-1"};
  made->event.amount = topic == Topic::payment_initiated ? std::optional<std::int64_t>(500) : std::nullopt;
  made->event.extras = extras;
  return std::shared_ptr<const Record>(made);
}

Outcome said(Step step, Answer answer, std::string reference = {}, std::string detail = {}, int attempt = 1) {
  Outcome outcome;
  outcome.key = "o-1";
  outcome.step = step;
  outcome.attempt = attempt;
  outcome.answer = answer;
  outcome.reference = std::move(reference);
  outcome.detail = std::move(detail);
  return outcome;
}

Input report(Outcome outcome) { return Command{CommandKind::report, 7, std::make_shared<const Outcome>(std::move(outcome))}; }

template <class State>
Change feed(State& state, const Input& input, Millis at = now) {
  Change change;
  digest(state, input, settings, at, change);
  return change;
}

std::vector<std::string> published(const Change& change) {
  std::vector<std::string> topics;
  for (const Event& event : change.publish) topics.emplace_back(to_string(event.topic));
  return topics;
}
using Published = std::vector<std::string>;

int replied(const Change& change) { return change.replies.size() == 1 && change.replies[0].id == 7 ? change.replies[0].status : 0; }

}  // namespace

BOOST_AUTO_TEST_SUITE(port_rules)

BOOST_AUTO_TEST_CASE(a_key_that_is_too_old_is_only_asked_about_and_parks_when_it_is_forgotten) {
  payment::Charge c;
  BOOST_TEST(!feed(c, record(Topic::payment_initiated)).acts.at(0).query);
  BOOST_TEST(!feed(c, Due{}, now + day - 1).acts.at(0).query);
  Change asked = feed(c, Due{}, now + day + 60'000);
  BOOST_REQUIRE(asked.acts.size() == 1u);
  BOOST_TEST(asked.acts[0].query);
  BOOST_TEST(!feed(c, said(Step::charge, Answer::unknown), now + day + 60'000).changed);
  Change parked = feed(c, said(Step::charge, Answer::unknown, "", std::string(forgotten)), now + day + 60'000);
  BOOST_TEST((c.state == payment::State::parked && parked.changed && !parked.open && parked.due == 0));
  BOOST_TEST(parked.publish.empty());
  BOOST_TEST(feed(c, Due{}, now + 2 * day).acts.empty());
  // Asking again asks the gateway again, still without taking anything.
  Change again = feed(c, record(Topic::payment_refund_requested), now + 2 * day);
  BOOST_TEST((again.acts.at(0).query && again.open && c.back));
  feed(c, said(Step::charge, Answer::unknown, "", std::string(forgotten)), now + 2 * day);
  // A person, or the gateway, says what became of it.
  Change resolved = feed(c, report(said(Step::charge, Answer::done, "t-1")), now + 3 * day);
  BOOST_TEST(replied(resolved) == 200);
  BOOST_TEST((to_string(resolved.acts.at(0).step) == "refund" && !resolved.acts[0].query && resolved.acts[0].txn.value == "t-1"));
}

BOOST_AUTO_TEST_CASE(a_forgotten_key_within_its_time_is_no_reason_to_park) {
  payment::Charge c;
  feed(c, record(Topic::payment_initiated));
  BOOST_TEST(!feed(c, said(Step::charge, Answer::unknown, "", std::string(forgotten))).changed);
  BOOST_TEST((c.state == payment::State::charging));
}

BOOST_AUTO_TEST_CASE(a_refund_that_is_refused_is_asked_for_under_a_new_key) {
  payment::Charge c;
  feed(c, record(Topic::payment_initiated));
  feed(c, said(Step::charge, Answer::done, "t-1"));
  BOOST_TEST(feed(c, record(Topic::payment_refund_requested), now + 10 * day).acts.at(0).attempt == 1);
  Change refused = feed(c, said(Step::refund, Answer::refused, "", "bank closed"), now + 10 * day);
  BOOST_TEST((refused.open && refused.publish.empty() && c.detail == "bank closed"));
  Change again = feed(c, Due{}, now + 10 * day + 1000);
  BOOST_TEST((again.acts.at(0).attempt == 2 && !again.acts[0].query));
  BOOST_TEST(feed(c, said(Step::refund, Answer::done, "t-1"), now + 10 * day).publish.empty());  // of the first key
  BOOST_TEST(published(feed(c, said(Step::refund, Answer::done, "t-1", "", 2), now + 10 * day)) ==
             (Published{"payment.refunded", "notification.send"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_report_is_absorbed_like_any_outcome) {
  payment::Charge c;
  BOOST_TEST(replied(feed(c, report(said(Step::charge, Answer::done, "t-1")))) == 404);
  feed(c, record(Topic::payment_initiated));
  Outcome other = said(Step::charge, Answer::done, "t-1");
  other.amount = 499;
  BOOST_TEST(replied(feed(c, report(other))) == 409);
  other.amount = 500;
  Change first = feed(c, report(other));
  BOOST_TEST((replied(first) == 200 && published(first) == Published{"payment.success"}));
  for (const Outcome& late : {other, said(Step::charge, Answer::refused), said(Step::refund, Answer::done)}) {
    Change again = feed(c, report(late));
    BOOST_TEST((replied(again) == 200 && !again.changed && again.publish.empty()));
  }
  BOOST_TEST(c.txn.value == "t-1");
}

BOOST_AUTO_TEST_CASE(a_carrier_that_refuses_is_asked_under_a_new_key) {
  shipping::Shipment s;
  feed(s, record(Topic::order_shipped));
  Change refused = feed(s, said(Step::book, Answer::refused, "", "no such street"));
  BOOST_TEST((refused.changed && refused.open && s.detail == "no such street"));
  BOOST_TEST(feed(s, Due{}, now + 1000).acts.at(0).attempt == 2);
  BOOST_TEST(!feed(s, said(Step::book, Answer::refused)).changed);  // the first attempt's again
  BOOST_TEST(published(feed(s, said(Step::book, Answer::done, "T-1", "", 2))) == Published{"order.tracking.updated"});
}

BOOST_AUTO_TEST_CASE(delivered_is_told_once_and_is_never_before_the_tracking_id) {
  shipping::Shipment s;
  BOOST_TEST(replied(feed(s, report(said(Step::deliver, Answer::done)))) == 404);
  feed(s, record(Topic::order_shipped));
  BOOST_TEST(replied(feed(s, report(said(Step::deliver, Answer::done)))) == 503);
  Change delivered = feed(s, report(said(Step::deliver, Answer::done, "T-1")));
  BOOST_TEST(replied(delivered) == 200);
  BOOST_TEST(published(delivered) == (Published{"order.tracking.updated", "order.delivered"}), boost::test_tools::per_element());
  BOOST_TEST((!delivered.open && s.state == shipping::State::delivered));
  Change again = feed(s, report(said(Step::deliver, Answer::done, "T-2")));
  BOOST_TEST((replied(again) == 200 && again.publish.empty() && !again.changed && s.tracking.value == "T-1"));
  BOOST_TEST(published(feed(s, record(Topic::order_shipped))) == (Published{"order.tracking.updated", "order.delivered"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_notice_is_sent_by_each_channel_for_itself) {
  using notification::Delivery;
  notification::Notice n;
  Change first = feed(n, record(Topic::order_placed, R"("contact":{"email":"a@b"})"));
  BOOST_TEST((first.acts.size() == 2u && first.acts[0].channel == "email" && first.acts[1].channel == "sms"));
  BOOST_TEST((first.open && first.acts[0].extras == R"("contact":{"email":"a@b"})"));
  BOOST_TEST((n.channels.at(2).delivery == Delivery::sent && !n.channels[2].by_port));  // simulated
  feed(n, said(Step::notify, Answer::unknown, "email"));
  Change skipped = feed(n, said(Step::notify, Answer::refused, "sms", std::string(notification::no_recipient)));
  BOOST_TEST((skipped.open && n.channels[1].delivery == Delivery::skipped));
  Change again = feed(n, Due{}, now + 1000);
  BOOST_TEST((again.acts.size() == 1u && again.acts[0].channel == "email"));
  Change sent = feed(n, said(Step::notify, Answer::done, "email"));
  BOOST_TEST((!sent.open && sent.due == 0 && n.channels[0].delivery == Delivery::sent && n.state == notification::State::sent));
  BOOST_TEST(!feed(n, said(Step::notify, Answer::refused, "email", "late")).changed);
  BOOST_TEST(!feed(n, record(Topic::order_placed)).changed);
}

BOOST_AUTO_TEST_CASE(a_notice_that_cannot_be_sent_is_given_up) {
  using notification::Delivery;
  notification::Notice n;
  feed(n, record(Topic::order_placed));
  feed(n, said(Step::notify, Answer::refused, "sms", "550 no such number"));
  BOOST_TEST((n.channels[1].delivery == Delivery::failed && n.channels[1].detail == "550 no such number"));
  Change given_up = feed(n, Due{}, now + settings.notice_ttl);
  BOOST_TEST((given_up.acts.empty() && given_up.changed && !given_up.open));
  BOOST_TEST((n.channels[0].delivery == Delivery::failed && n.channels[0].detail == notification::expired));
}

BOOST_AUTO_TEST_SUITE_END()
