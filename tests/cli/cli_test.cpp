// Configuration and command line: where values come from and which wins, what is said about wrong ones, what is never
// said at all, and the parts of the load generator that compute.
#define BOOST_TEST_MODULE cli
#ifndef BOOST_TEST_DYN_LINK
#define BOOST_TEST_DYN_LINK
#endif
#include <boost/test/unit_test.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "app/cli/cli.hpp"
#include "app/cli/load.hpp"
#include "app/cli/output.hpp"
#include "app/cli/processes.hpp"
#include "app/options/options.hpp"
#include "app/options/text.hpp"

using namespace cartwright;
using namespace std::chrono_literals;

namespace {

/// A world of files, variables and flags.
struct World {
  std::map<std::string, std::string> files, environment;
  std::vector<std::string> flags;

  [[nodiscard]] options::Result load() const {
    options::Sources sources{flags, environment, [this](const std::string& path) -> std::optional<std::string> {
                               auto at = files.find(path);
                               return at == files.end() ? std::nullopt : std::optional(at->second);
                             }};
    return options::load(sources);
  }
  [[nodiscard]] options::Options right() const {
    auto result = load();
    for (const auto& error : result.errors) BOOST_ERROR(error);
    return result.options.value_or(options::Options{});
  }
  /// The only error.
  [[nodiscard]] std::string error() const {
    auto result = load();
    BOOST_TEST(!result.options.has_value());
    BOOST_TEST(result.errors.size() == 1u);
    return result.errors.empty() ? "" : result.errors.front();
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Takes stdout and stderr while it lives.
class Captured {
 public:
  Captured() : out_before_(std::cout.rdbuf(out_.rdbuf())), err_before_(std::cerr.rdbuf(err_.rdbuf())) {}
  ~Captured() {
    std::cout.rdbuf(out_before_);
    std::cerr.rdbuf(err_before_);
  }
  [[nodiscard]] std::string out() const { return out_.str(); }
  [[nodiscard]] std::string err() const { return err_.str(); }

 private:
  std::ostringstream out_, err_;
  std::streambuf *out_before_, *err_before_;
};

struct Ran {
  int code = -1;
  std::string out, err;
};

/// The program as if called with these words; a node that is started returns 77.
Ran ran(std::vector<std::string> words) {
  words.insert(words.begin(), "cartwright");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  Captured captured;
  int code = cli::run_cli(static_cast<int>(argv.size()), argv.data(), [](const options::Options&) { return 77; });
  return {code, captured.out(), captured.err()};
}

/// Without the variables and files of whoever runs the tests.
struct CleanProcess {
  CleanProcess() {
    for (const char* name :
         {"KAFKA_BROKER", "KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "DATABASE_URL", "HTTP_LISTEN",
          "ROLES", "GROUP_PREFIX", "FOREIGN_ROLES", "CARTWRIGHT_URL", "CARTWRIGHT_TOKEN", "CARTWRIGHT_CONFIG"})
      unsetenv(name);
    std::string pattern = (std::filesystem::temp_directory_path() / "cartwright-cli-XXXXXX").string();
    directory = mkdtemp(pattern.data());
    std::filesystem::current_path(directory);
  }
  ~CleanProcess() {
    std::filesystem::current_path("/");
    std::filesystem::remove_all(directory);
  }
  std::filesystem::path directory;
};

std::string file_text(const std::string& path) {
  std::ifstream in(std::string(CARTWRIGHT_SOURCE) + "/" + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

BOOST_GLOBAL_FIXTURE(CleanProcess);

// ---- options
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(defaults_are_those_of_the_contract) {
  auto o = World{}.right();
  BOOST_TEST(o.kafka_broker == "127.0.0.1:9092");
  BOOST_TEST(o.kafka_group_prefix == "cartwright");
  BOOST_TEST((o.kafka_session_timeout == 6s));
  BOOST_TEST((o.kafka_linger == 1ms));
  BOOST_TEST(o.kafka_partitions == 4);
  BOOST_TEST(o.redis_url == "redis://127.0.0.1:6379");
  BOOST_TEST(o.database_url == "sqlite:.cartwright/data");
  BOOST_TEST(o.http_listen == "127.0.0.1:8080");
  BOOST_TEST(o.http_host == "127.0.0.1");
  BOOST_TEST(o.http_port == 8080);
  BOOST_TEST((o.drain_timeout == 30s));
  BOOST_TEST(o.roles == all_roles);
  BOOST_TEST(o.threads >= 2u);
  BOOST_TEST(o.topics[Topic::order_placed] == "order.placed");
  Settings expected;
  BOOST_TEST(o.settings.inventory_ttl == expected.inventory_ttl);
  BOOST_TEST(o.settings.payment_ttl == expected.payment_ttl);
  BOOST_TEST(o.settings.orphan_ttl == expected.orphan_ttl);
  BOOST_TEST(o.settings.ask_first == expected.ask_first);
  BOOST_TEST(o.settings.ask_last == expected.ask_last);
  BOOST_TEST(o.settings.act_first == expected.act_first);
  BOOST_TEST(o.settings.act_last == expected.act_last);
  BOOST_TEST(o.settings.outbox_replay == expected.outbox_replay);
  BOOST_TEST(o.settings.retention == expected.retention);
  BOOST_TEST((o.settings.channels == expected.channels));
  BOOST_TEST(o.settings.notice_ttl == expected.notice_ttl);
  BOOST_TEST(o.settings.key_ttl == expected.key_ttl);
  BOOST_TEST(o.settings.partitions == expected.partitions);
  BOOST_TEST(o.settings.foreign == 0);
}

BOOST_AUTO_TEST_CASE(file_then_dot_env_then_environment_then_flags) {
  World world;
  world.files["cartwright.conf"] = "kafka.broker = file:1\n";
  BOOST_TEST(world.right().kafka_broker == "file:1");
  world.files[".env"] = "# ours\nexport KAFKA_BROKER=\"dot:2\"\nOTHER=x\n";
  BOOST_TEST(world.right().kafka_broker == "dot:2");
  world.environment["KAFKA_BROKER"] = "env:3";
  BOOST_TEST(world.right().kafka_broker == "env:3");
  world.flags = {"--kafka.broker=flag:4"};
  auto options = world.right();
  BOOST_TEST(options.kafka_broker == "flag:4");
  BOOST_TEST(options.given.at("kafka.broker").source == "--kafka.broker");
  BOOST_TEST(options.given.at("redis.url").source == "default");
}

BOOST_AUTO_TEST_CASE(the_file_may_be_named_and_then_has_to_be_there) {
  World world;
  world.files["mine.conf"] = "[kafka]\npartitions = 7 # enough\n\n[node]\nroles = order, payment\n";
  world.flags = {"--config", "mine.conf"};
  auto options = world.right();
  BOOST_TEST(options.kafka_partitions == 7);
  BOOST_TEST(options.settings.partitions == 7);
  BOOST_TEST(options.roles == (bit(RoleId::order) | bit(RoleId::payment)));
  world.flags = {"--config=none.conf"};
  BOOST_TEST(has(world.error(), "none.conf cannot be read"));
  world.flags.clear();
  world.environment["CARTWRIGHT_CONFIG"] = "mine.conf";
  BOOST_TEST(world.right().kafka_partitions == 7);
}

BOOST_AUTO_TEST_CASE(every_option_has_a_variable_and_aliases_are_asked_in_order) {
  for (const auto& row : options::table()) {
    World world;
    std::string text = row.fallback;
    if (row.name.ends_with("url") && text.empty()) text = row.name == "smtp.url" ? "smtp://x" : "http://x";
    if (row.name == "smtp.from") text = "a@b";
    if (text.empty()) text = "0123456789abcdef";
    world.files["0123456789abcdef"] = "0123456789abcdef";  // of the options that name a file
    world.environment = {{"CARTWRIGHT_SMTP_FROM", "a@b"}};
    if (row.name.starts_with("smtp.password")) world.environment["CARTWRIGHT_SMTP_USER"] = "u";
    if (row.name == "smtp.user") world.environment["CARTWRIGHT_SMTP_PASSWORD"] = "p";
    world.environment[options::variable_of(row.name)] = text;
    BOOST_TEST(world.right().given.at(row.name).source == options::variable_of(row.name));
  }
  World world;
  world.environment = {{"KAFKA_BOOTSTRAP_SERVERS", "third:3"}, {"KAFKA_BROKERS", "second:2"}};
  auto result = world.load();
  BOOST_TEST(result.options->kafka_broker == "second:2");
  BOOST_TEST(result.warnings.size() == 1u);
  world.environment["CARTWRIGHT_KAFKA_BROKER"] = "zeroth:9";
  BOOST_TEST(world.right().kafka_broker == "zeroth:9");
  // An empty variable is how composition files say "not set".
  world.environment = {{"KAFKA_BROKER", ""}, {"FOREIGN_ROLES", ""}};
  BOOST_TEST(world.right().kafka_broker == "127.0.0.1:9092");
}

BOOST_AUTO_TEST_CASE(a_secret_comes_from_the_environment_or_a_file_and_is_never_shown) {
  World world;
  world.files["key"] = "sk_from_file\n";
  world.files["two"] = "first-secret-0123\nsecond-secret-4567\n";
  world.files["empty"] = "\n";
  world.environment = {{"CARTWRIGHT_PAYMENT_KEY_FILE", "key"}, {"CARTWRIGHT_PAYMENT_CALLBACK_SECRET_FILE", "two"},
                       {"CARTWRIGHT_SHIPPING_KEY", "sk_from_env"}, {"CARTWRIGHT_PAYMENT_URL", "https://user:hidden@pay/v1/"}};
  auto options = world.right();
  BOOST_TEST(options.gateway.key == "sk_from_file");
  BOOST_TEST(options.carrier.key == "sk_from_env");
  BOOST_TEST(options.gateway.url == "https://user:hidden@pay/v1");
  BOOST_TEST(options.settings.key_ttl == 86'400'000);
  BOOST_TEST((options.gateway.callback_secrets == std::vector<std::string>{"first-secret-0123", "second-secret-4567"}));
  for (auto format : {options::Format::conf, options::Format::json}) {
    const std::string shown = options::print(options, format);
    for (const char* secret : {"sk_from", "first-secret", "hidden"}) BOOST_TEST(!has(shown, secret));
    BOOST_TEST(has(shown, "***"));
  }
  struct Row { std::map<std::string, std::string> environment; std::string says; };
  for (const Row& row : std::vector<Row>{
           {{{"CARTWRIGHT_PAYMENT_KEY_FILE", "nowhere"}}, "the file nowhere cannot be read"},
           {{{"CARTWRIGHT_PAYMENT_KEY_FILE", "empty"}}, "is empty"},
           {{{"CARTWRIGHT_PAYMENT_KEY_FILE", "key"}, {"CARTWRIGHT_PAYMENT_KEY", "tell-nobody"}}, "payment.key is set as well"},
           {{{"CARTWRIGHT_PAYMENT_KEY", "tell nobody"}}, "\"***\" holds a blank"},
           {{{"CARTWRIGHT_PAYMENT_CALLBACK_SECRET", "tell-nobody"}}, "is shorter than 16 letters"},
           {{{"CARTWRIGHT_SMTP_URL", "smtp://mail"}}, "smtp.from"},
           {{{"CARTWRIGHT_SMTP_USER", "u"}}, "smtp.password"},
           {{{"CARTWRIGHT_SMTP_FROM", "a@b>\r\nX: y"}}, "is no address"},
           {{{"CARTWRIGHT_PAYMENT_URL", "pay.example"}}, "is no address"},
           {{{"CARTWRIGHT_NOTIFICATION_CHANNEL", "email,smss"}}, "did you mean sms?"},
           {{{"CARTWRIGHT_NOTIFICATION_CHANNEL", "sms,sms"}}, "twice"}}) {
    world.environment = row.environment;
    const std::string error = world.error();
    BOOST_TEST(has(error, row.says), error);
    BOOST_TEST(!has(error, "tell"), error);
  }
  world.environment = {{"CARTWRIGHT_NOTIFICATION_CHANNEL", "email, sms, push"}, {"CARTWRIGHT_NOTIFICATION_SMS_URL", "http://sms"}};
  BOOST_TEST((world.right().settings.channels == std::vector<NoticeChannel>{{"email", false}, {"sms", true}, {"push", false}}));
}

BOOST_AUTO_TEST_CASE(durations_have_units) {
  for (auto [text, value] : std::map<std::string, std::int64_t>{
           {"500ms", 500}, {"6s", 6'000}, {"15min", 900'000}, {"24h", 86'400'000}, {"15 min", 900'000}}) {
    BOOST_TEST(options::duration(text).fault == "");
    BOOST_TEST(options::duration(text).value == value);
  }
  BOOST_TEST(has(options::duration("500").fault, "500ms"));
  BOOST_TEST(has(options::duration("5m").fault, "5min"));
  for (const char* text : {"", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "9223372036854775807h"})
    BOOST_TEST(options::duration(text).fault != "", text);
  BOOST_TEST(options::spell_duration(900'000) == "15min");
  BOOST_TEST(options::spell_duration(1'500) == "1500ms");
  BOOST_TEST(options::spell_duration(0) == "0s");
  World world;
  world.environment["CARTWRIGHT_ORDER_INVENTORY_TTL"] = "90";
  BOOST_TEST(has(world.error(), "has no unit: write 90ms"));
  world.environment["CARTWRIGHT_ORDER_INVENTORY_TTL"] = "90s";
  BOOST_TEST(world.right().settings.inventory_ttl == 90'000);
}

BOOST_AUTO_TEST_CASE(errors_name_the_place_the_option_and_what_was_meant) {
  World world;
  world.files["cartwright.conf"] = "# mine\n\nkafka.brokr = a:1\n";
  BOOST_TEST(world.error() == "cartwright.conf:3: unknown option kafka.brokr; did you mean kafka.broker?");
  world.files["cartwright.conf"] = "kafka.partitions = many\n";
  BOOST_TEST(world.error() == "cartwright.conf:1: kafka.partitions: \"many\" is not a whole number");
  world.files["cartwright.conf"] = "kafka.partitions = 0\n";
  BOOST_TEST(has(world.error(), "is outside 1 to 1000"));
  world.files["cartwright.conf"] = "kafka.partitions = 2\nkafka.partitions = 3\n";
  BOOST_TEST(has(world.error(), "cartwright.conf:2: kafka.partitions has been set already, in line 1"));
  world.files["cartwright.conf"] = "what is this\n";
  BOOST_TEST(has(world.error(), "cartwright.conf:1: is not `name = value`"));
  world.files.clear();
  world.files[".env"] = "A=1\nROLES=order,paymnt\n";
  BOOST_TEST(world.error() ==
             ".env:2 ROLES: node.roles: \"order,paymnt\" has the unknown role paymnt: did you mean payment?");
  world.files.clear();
  world.environment["HTTP_LISTEN"] = "8080";
  BOOST_TEST(has(world.error(), "HTTP_LISTEN: http.listen: \"8080\" is not host:port"));
  world.environment.clear();
  world.flags = {"--kafka.linger", "5"};
  BOOST_TEST(has(world.error(), "--kafka.linger: \"5\" has no unit"));
  world.flags = {"--log.levle=debug"};
  BOOST_TEST(has(world.error(), "unknown option --log.levle; did you mean --log.level?"));
  world.flags = {"--log.level=debgu"};
  BOOST_TEST(has(world.error(), "did you mean debug?"));
  world.flags = {"--kafka.broker"};
  BOOST_TEST(has(world.error(), "a value is missing"));
}

BOOST_AUTO_TEST_CASE(all_errors_are_told_at_once) {
  World world;
  world.environment = {{"HTTP_LISTEN", "nowhere"}, {"REDIS_URL", "http://x"}, {"DATABASE_URL", "mysql://x"}};
  BOOST_TEST(world.load().errors.size() == 3u);
}

BOOST_AUTO_TEST_CASE(unknown_variables_of_ours_are_warned_about) {
  World world;
  world.environment = {{"CARTWRIGHT_KAFKA_BROKR", "a:1"},
                       {"CARTWRIGHT_TEST_KAFKA", "b:2"},
                       {"CARTWRIGHT_URL", "http://c:3"},
                       {"SOMETHING", "else"}};
  auto result = world.load();
  BOOST_TEST(result.options.has_value());
  BOOST_TEST(result.warnings.size() == 1u);
  BOOST_TEST(has(result.warnings.front(), "did you mean CARTWRIGHT_KAFKA_BROKER?"));
}

BOOST_AUTO_TEST_CASE(foreign_roles_are_not_run_here) {
  World world;
  world.environment["FOREIGN_ROLES"] = "payment,shipping";
  auto options = world.right();
  BOOST_TEST(options.settings.foreign == (bit(RoleId::payment) | bit(RoleId::shipping)));
  BOOST_TEST(options.roles == (all_roles & ~options.settings.foreign));
  world.environment["ROLES"] = "payment";
  BOOST_TEST(has(world.error(), "leaves no role"));
  world.flags = {"--foreign-roles=none"};
  BOOST_TEST(world.right().roles == bit(RoleId::payment));
}

BOOST_AUTO_TEST_CASE(topics_may_be_renamed_but_not_to_the_same) {
  World world;
  world.environment["TOPIC_ORDER_PLACED"] = "shop.orders";
  BOOST_TEST(world.right().topics[Topic::order_placed] == "shop.orders");
  world.environment["TOPIC_PAYMENT_FAILED"] = "shop.orders";
  BOOST_TEST(has(world.error(), "is the topic of topic.order-placed already"));
  world.environment["TOPIC_PAYMENT_FAILED"] = "shop.orders.dlq";
  BOOST_TEST(has(world.error(), "is the topic of"));
  world.environment["TOPIC_PAYMENT_FAILED"] = "with blank";
  BOOST_TEST(has(world.error(), "no topic may have"));
}

BOOST_AUTO_TEST_CASE(properties_go_to_librdkafka) {
  World world;
  world.files["cartwright.conf"] = "kafka.properties.sasl.username = me\n";
  world.environment = {{"CARTWRIGHT_KAFKA_PROPERTIES_SECURITY_PROTOCOL", "SASL_SSL"},
                       {"CARTWRIGHT_KAFKA_PROPERTIES_SASL_PASSWORD", "hush"}};
  auto options = world.right();
  std::map<std::string, std::string> all(options.kafka_properties.begin(), options.kafka_properties.end());
  BOOST_TEST(all.at("security.protocol") == "SASL_SSL");
  BOOST_TEST(all.at("sasl.username") == "me");
  BOOST_TEST(all.at("sasl.password") == "hush");
}

BOOST_AUTO_TEST_CASE(secrets_are_never_shown) {
  World world;
  world.environment = {{"REDIS_URL", "redis://:hush1@cache:6379/2"},
                       {"DATABASE_URL", "postgresql://shop:hush2@db/orders?sslmode=require&password=hush3"},
                       {"CARTWRIGHT_KAFKA_PROPERTIES_SASL_PASSWORD", "hush4"},
                       {"CARTWRIGHT_KAFKA_PROPERTIES_SSL_KEY_PASSWORD", "hush5"}};
  auto options = world.right();
  for (auto format : {options::Format::conf, options::Format::json}) {
    std::string text = options::print(options, format);
    BOOST_TEST(!has(text, "hush"));
    BOOST_TEST(has(text, "redis://:***@cache:6379/2"));
    BOOST_TEST(has(text, "postgresql://shop:***@db/orders?sslmode=require&password=***"));
  }
  world.environment["REDIS_URL"] = "rediss://:hush@cache";
  BOOST_TEST(!has(world.error(), "hush"));
  BOOST_TEST(options::masked_url("redis://a:with@sign@h") == "redis://a:***@h");
  BOOST_TEST(options::masked_url("redis://h:6379") == "redis://h:6379");
}

BOOST_AUTO_TEST_CASE(what_is_printed_can_be_read_again) {
  World world;
  world.environment = {{"CARTWRIGHT_LOG_FORMAT", "json"},
                       {"CARTWRIGHT_LOG_RECORDS", "true"},
                       {"CARTWRIGHT_KAFKA_PROPERTIES_SASL_USERNAME", "a # b"}};
  auto first = world.right();
  World again;
  again.files["cartwright.conf"] = options::print(first, options::Format::conf);
  auto second = again.right();
  for (const auto& [name, given] : first.given) BOOST_TEST(second.given.at(name).text == given.text, name);
}

BOOST_AUTO_TEST_CASE(the_documented_files_are_the_table) {
  BOOST_TEST(file_text("config/cartwright.conf") == options::documented_conf(),
             "write it again: build/cartwright config document > config/cartwright.conf");
  BOOST_TEST(file_text(".env.example") == options::documented_env(),
             "write it again: build/cartwright config document --env > .env.example");
  // With every # taken away it is still right, and says the defaults.
  std::istringstream in(options::documented_conf());
  std::string uncommented;
  for (std::string line; std::getline(in, line);)
    uncommented += (line.starts_with("#") && !line.starts_with("# ") ? line.substr(line == "#" ? 0 : 1) : line) + "\n";
  World world;
  world.files["cartwright.conf"] = uncommented;
  auto options = world.right();
  World defaults;
  auto expected = defaults.right();
  for (const auto& [name, given] : expected.given) BOOST_TEST(options.given.at(name).text == given.text, name);
}

BOOST_AUTO_TEST_CASE(near_names_are_found) {
  BOOST_TEST(options::edit_distance("kitten", "sitting") == 3u);
  BOOST_TEST(options::edit_distance("ab", "ba") == 1u);
  BOOST_TEST(options::nearest("broker", {"kafka.broker", "redis.url"}) == "kafka.broker");
  BOOST_TEST(options::nearest("entirely-else", {"kafka.broker", "redis.url"}) == "");
}

BOOST_AUTO_TEST_CASE(flags_of_the_configuration_are_taken_out_of_the_arguments) {
  std::vector<std::string> words{"node",
                                 "--kafka.broker",
                                 "a:1",
                                 "--log.records",
                                 "--url",
                                 "http://x:1",
                                 "--foreign-roles=payment",
                                 "--config",
                                 "f",
                                 "--",
                                 "--a.b"};
  auto flags = options::take_flags(words);
  BOOST_TEST((flags == std::vector<std::string>{"--kafka.broker", "a:1", "--log.records", "--foreign-roles=payment",
                                                "--config", "f"}));
  BOOST_TEST((words == std::vector<std::string>{"node", "--url", "http://x:1", "--", "--a.b"}));
}

// ---- the command line
// --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(wrong_usage_exits_2) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"noode"},
                                             {"order"},
                                             {"order", "get"},
                                             {"order", "place", "a:1"},
                                             {"order", "place", "a:x", "--user", "u"},
                                             {"order", "place", "a:0", "--user", "u"},
                                             {"stock", "set", "a"},
                                             {"stock", "set", "a", "-5"},
                                             {"node", "--kafka.brokr=x"},
                                             {"node", "--kafka-broker=x"},
                                             {"node", "--http.listen=x"},
                                             {"config", "check", "--kafka.linger=3"},
                                             {"load", "--via", "pigeon"},
                                             {"load", "--orders", "0"},
                                             {"load", "--lines", "5", "--products", "3"},
                                             {"load", "--rate", "10", "--window", "10"},
                                             {"load", "--no-stock"},
                                             {"load", "--timeout", "soon"},
                                             {"explain", "table", "lost"},
                                             {"broker", "--port", "70000"},
                                             {"order", "list", "-o", "xml"},
                                             {"order", "list", "--url", "ftp://x"}}) {
    auto result = ran(words);
    std::string all;
    for (const auto& word : words) all += " " + word;
    BOOST_TEST(result.code == 2, "cartwright" << all << " -> " << result.code);
    BOOST_TEST(result.err != "", all);
    BOOST_TEST(result.out == "", all);
  }
}

BOOST_AUTO_TEST_CASE(mistyped_words_are_understood) {
  BOOST_TEST(has(ran({"noode"}).err, "did you mean node?"));
  BOOST_TEST(has(ran({"order", "plcae"}).err, "did you mean place?"));
  BOOST_TEST(has(ran({"node", "--kafka-broker=x"}).err, "did you mean --kafka.broker?"));
  BOOST_TEST(has(ran({"explain", "table", "shiped"}).err, "did you mean shipped?"));
}

BOOST_AUTO_TEST_CASE(help_and_version_exit_0) {
  auto help = ran({"--help"});
  BOOST_TEST(help.code == 0);
  BOOST_TEST(has(help.out, "Examples:"));
  BOOST_TEST(has(ran({"node", "--help"}).out, "--kafka.session-timeout"));
  BOOST_TEST(ran({"version"}).code == 0);
  BOOST_TEST(ran({"--version"}).out == ran({"version"}).out);
}

BOOST_AUTO_TEST_CASE(a_node_is_run_with_what_was_configured) {
  BOOST_TEST(ran({"node"}).code == 77);
  BOOST_TEST(ran({"node", "--kafka.broker", "a:1", "--log.level=debug"}).code == 77);
}

BOOST_AUTO_TEST_CASE(commands_without_a_server_work) {
  auto table = ran({"explain", "table"});
  BOOST_TEST(table.code == 0);
  for (const char* word : {"inventory_reserved", "compensate", "placed"}) BOOST_TEST(has(table.out, word));
  BOOST_TEST(has(ran({"explain", "table", "shipped", "-o", "json"}).out, "\"state\": \"shipped\""));
  BOOST_TEST(ran({"config", "check"}).code == 0);
  BOOST_TEST(has(ran({"config", "print", "--kafka.broker=a:1"}).out, "kafka.broker = a:1"));
  BOOST_TEST(has(ran({"completion", "bash"}).out, "'order place') choices="));
  BOOST_TEST(has(ran({"completion", "zsh"}).out, "'stock adjust') choices="));
  BOOST_TEST(has(ran({"completion", "fish"}).out, "'__cartwright_at order' -a place -d 'Place an order'"));
  BOOST_TEST(has(ran({"explain", "topics"}).out, "payment.refund.requested"));
  BOOST_TEST(has(ran({"explain", "topics", "-o", "json"}).out, "\"written_by\""));
}

BOOST_AUTO_TEST_CASE(an_api_that_is_away_is_a_sentence_and_1) {
  auto result = ran({"order", "get", "o-1", "--url", "http://127.0.0.1:1"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(has(result.err, "http://127.0.0.1:1"));
  BOOST_TEST(has(result.err, "--url"));
}

// ---- the load generator
// ------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(percentiles_are_nearest_ranks) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 1);
  BOOST_TEST(cli::percentile(values, 50) == 50);
  BOOST_TEST(cli::percentile(values, 99) == 99);
  BOOST_TEST(cli::percentile(values, 100) == 100);
  BOOST_TEST(cli::percentile(values, 0) == 1);
  BOOST_TEST(cli::percentile(std::vector<int>{7}, 50) == 7);
  BOOST_TEST(cli::percentile(std::vector<int>{}, 50) == 0);
  BOOST_TEST(cli::percentile(std::vector<int>{1, 2, 3}, 50) == 2);
}

BOOST_AUTO_TEST_CASE(a_plan_says_the_same_every_time) {
  cli::LoadOptions options;
  options.products = 10;
  options.lines = 3;
  options.declined = 10;
  options.out_of_stock = 5;
  cli::Plan plan(options, "load-1", "load-1");
  std::map<cli::End, int> ends;
  for (std::int64_t number = 0; number < 20'000; ++number) {
    auto products = plan.products_of(number);
    BOOST_REQUIRE(std::set<int>(products.begin(), products.end()).size() == 3u);
    ++ends[plan.end_of(number)];
  }
  BOOST_TEST(std::abs(ends[cli::End::payment_failed] - 2000) < 200);
  BOOST_TEST(std::abs(ends[cli::End::cancelled] - 1000) < 150);
  cli::LoadOptions bare;
  bare.products = 5;
  BOOST_TEST(cli::Plan(bare, "p", "p").body_of(1, "p-o1") ==
             R"({"order_id":"p-o1","product_id":"p-2","quantity":1,"user_id":"p-user-1"})");
  BOOST_TEST(cli::Plan(bare, "p", "p").body_of(1) == R"({"product_id":"p-2","quantity":1,"user_id":"p-user-1"})");
}

BOOST_AUTO_TEST_CASE(batch_answers_are_read_line_by_line) {
  auto lines = cli::read_batch(
      "{\"line\": 1, \"status\": 202, \"order_id\": "
      "\"a\"}\n{\"line\":2,\"status\":422,\"title\":\"no\",\"detail\":\"quantity\"}\n");
  BOOST_REQUIRE(lines.size() == 2u);
  BOOST_TEST(lines[0].order_id == "a");
  BOOST_TEST(lines[1].status == 422);
  BOOST_TEST(lines[1].detail == "quantity");
}

BOOST_AUTO_TEST_CASE(a_report_says_what_is_wrong) {
  cli::LoadReport report;
  report.orders = report.accepted = report.ended = 1'000;
  report.by_end = {0, 900, 60, 40};
  report.seconds = 0.5;
  report.latencies_us = {1'000, 2'000, 3'000};
  report.cpu_us = {{"node", 50'000}};
  BOOST_TEST(has(cli::to_text(report), "2,000 orders/s"));
  BOOST_TEST(has(cli::to_text(report), "node 50.0"));
  BOOST_TEST(has(cli::to_json(report), "\"ok\": true"));
  BOOST_TEST(has(cli::to_json(report), "\"orders_per_second\": 2000.0"));
  report.problems.push_back("x \"y\"");
  BOOST_TEST(has(cli::to_json(report), "\"problems\": [\"x \\\"y\\\"\"]"));
  BOOST_TEST(cli::grouped(-1234567) == "-1,234,567");
  BOOST_TEST(cli::grouped(123) == "123");
}

BOOST_AUTO_TEST_CASE(processor_time_is_read) {
  std::string fault;
  auto watched = cli::watched_of("me=" + std::to_string(getpid()), fault);
  BOOST_TEST(fault == "");
  cli::CpuMeter meter(watched);
  volatile double sink = 1;
  while (meter.used()["me"] == 0)
    for (int i = 0; i < 100'000; ++i) sink = sink * 1.0000001;
  BOOST_TEST(meter.used()["me"] > 0);
  BOOST_TEST(cli::watched_of("me", fault).empty());
  BOOST_TEST(fault != "");
}

BOOST_AUTO_TEST_CASE(urls_are_read) {
  BOOST_TEST(cli::endpoint_of("http://h:1/x")->port == "1");
  BOOST_TEST(cli::endpoint_of("h:1")->host == "h");
  BOOST_TEST(cli::endpoint_of("http://[::1]:80")->host == "::1");
  BOOST_TEST(cli::endpoint_of("http://h")->port == "80");
  BOOST_TEST(!cli::endpoint_of("https://h"));
  BOOST_TEST(cli::url_encoded("a/b c") == "a%2Fb%20c");
}
