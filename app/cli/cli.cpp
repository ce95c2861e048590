// The arguments: what there is to say, with examples, and which command it calls. The only file that knows CLI11.
#include "app/cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "app/cli/commands.hpp"
#include "app/cli/completion.hpp"
#include "app/cli/load.hpp"
#include "app/options/text.hpp"

namespace cartwright::cli {
namespace {

constexpr const char* examples = R"(
Examples:
  cartwright broker &                                     a Kafka stand-in for trying things out
  cartwright node                                         all five roles on the defaults
  cartwright node --node.roles=order,payment              two of them; other processes run the rest
  cartwright stock set oak-chair 100 --price 8900 --currency EUR
  cartwright order place oak-chair:2 --user ada --wait    place an order and see it through
  cartwright order get ID --trace                         every record that was ever written about it
  cartwright topics tail order.placed notification.send
  cartwright dlq ls --cause conflict                      records that could not be used; see also dlq replay --help
  cartwright load --orders 50000                          how fast is it, and is nothing lost?
  cartwright doctor                                       what is wrong, and how to mend it

Every option of the configuration can be given to every command as --a.b-c=VALUE, as a variable (CARTWRIGHT_A_B_C, and
KAFKA_BROKER, REDIS_URL, DATABASE_URL, HTTP_LISTEN, ROLES, ...), in .env, or in cartwright.conf: see `cartwright node
--help` and `cartwright config print`.
Exit codes: 0 done, 2 wrong usage or configuration, 1 anything else.
)";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Everything that arguments may set, and the command that they chose.
struct Arguments {
  std::string url, token, output = "table";
  OrderPlace place;
  OrderGet get;
  OrderList list;
  std::string id, product, state, via = "batch", load_timeout = "300s", wait_timeout = "60s";
  StockSet set;
  StockAdjust adjust;
  TopicsTail tail;
  DlqList letters;
  DlqDecide decide;
  Broker broker;
  LoadOptions load;
  StockReconcile reconcile;
  bool no_topics = false;
  bool no_stock = false, no_check = false, load_json = false, as_env = false;
  std::function<int(const Context&)> command;
  bool pure = false;  // needs no configuration
};

std::int64_t duration_of(const std::string& flag, const std::string& text) {
  auto read = options::duration(text);
  // A bare number is a number of seconds here: --timeout 300 is what everybody writes.
  if (auto seconds = options::number(text); seconds.fault.empty()) read = {seconds.value * 1000, ""};
  if (!read.fault.empty() || read.value <= 0)
    throw CommandError(flag + " \"" + text + "\" " + (read.fault.empty() ? "is not more than 0" : read.fault),
                       exit_usage);
  return read.value;
}

using Command = std::function<int(const Context&)>;

CLI::App* leaf(CLI::App& parent, Arguments& arguments, const std::string& name, const std::string& help,
               Command command) {
  auto* made = parent.add_subcommand(name, help);
  made->callback([&arguments, command = std::move(command)] { arguments.command = command; });
  return made;
}

CLI::App* group(CLI::App& app, const std::string& name, const std::string& help) {
  auto* made = app.add_subcommand(name, help);
  made->require_subcommand(1);
  return made;
}

void add_order(CLI::App& app, Arguments& a) {
  auto* orders = group(app, "order", "Place orders, look at them, cancel them");
  auto* place = leaf(*orders, a, "place", "Place an order", [&a](const Context& context) {
    a.place.timeout_ms = duration_of("--timeout", a.wait_timeout);
    return order_place(context, a.place);
  });
  place->add_option("lines", a.place.lines, "PRODUCT:QTY, one or more; without :QTY it is 1")
      ->required()
      ->expected(1, 100);
  place->add_option("--user", a.place.user, "Who orders")->required();
  place->add_option("--token-payment,--payment-token", a.place.payment_token,
                    "For the simulated gateway: tok_ok, tok_declined, tok_timeout, tok_error, tok_never");
  place->add_option("--idempotency-key", a.place.idempotency_key, "Placing again with the same key places nothing");
  place->add_flag("--wait", a.place.wait, "Wait for its end; exit code 0 only when it was shipped");
  place->add_option("--timeout", a.wait_timeout, "How long to wait")->capture_default_str();
  auto* get = leaf(*orders, a, "get", "One order as it is now",
                   [&a](const Context& context) { return order_get(context, a.get); });
  get->add_option("id", a.get.id, "The order's id")->required();
  get->add_flag("--trace", a.get.trace, "Also every record about it in every topic, read from Kafka itself");
  auto* list = leaf(*orders, a, "list", "Orders, newest pages first as the node gives them",
                    [&a](const Context& context) { return order_list(context, a.list); });
  list->add_option("--status", a.list.status,
                   "pending, inventory_reserved, paid, shipped, delivered, cancelled, payment_failed or refunded");
  list->add_option("--user", a.list.user, "Of this user only");
  list->add_option("--limit", a.list.limit, "How many at most")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  auto by_id = [&](const std::string& name, const std::string& help,
                   int (*command)(const Context&, const std::string&)) {
    leaf(*orders, a, name, help, [&a, command](const Context& context) { return command(context, a.id); })
        ->add_option("id", a.id, "The order's id")
        ->required();
  };
  by_id("watch", "Follow an order until its end", order_watch);
  by_id("cancel", "Cancel an order that is not paid yet", order_cancel);
  by_id("retry", "Ask again everything that an order waits for; try again one that is set aside", order_retry);
  auto* parked = leaf(*orders, a, "parked", "Orders that are set aside, and why; `order retry` tries one again",
                      [&a](const Context& context) { return order_parked(context, a.list.limit); });
  parked->add_option("--limit", a.list.limit, "How many at most")->capture_default_str()->check(CLI::Range(1, 1'000'000));
}

void add_stock(CLI::App& app, Arguments& a) {
  auto* stock = group(app, "stock", "Set and look at the stock");
  auto* set = leaf(*stock, a, "set", "Say how much of a product is on hand, and what it costs",
                   [&a](const Context& context) { return stock_set(context, a.set); });
  set->add_option("product", a.set.product)->required();
  set->add_option("quantity", a.set.quantity, "On hand: available and reserved together")
      ->required()
      ->check(CLI::NonNegativeNumber);
  set->add_option("--price", a.set.price_minor, "In minor units: 8900 for 89.00")->check(CLI::NonNegativeNumber);
  set->add_option("--currency", a.set.currency, "EUR, USD, ...");
  set->add_option("--name", a.set.name, "What people call it");
  auto* adjust = leaf(*stock, a, "adjust", "Add to what is available, or take from it",
                      [&a](const Context& context) { return stock_adjust(context, a.adjust); });
  adjust->add_option("product", a.adjust.product)->required();
  adjust->add_option("delta", a.adjust.delta, "5 or -5")->required();
  adjust->add_option("--reason", a.adjust.reason, "Why, for the books")->required();
  adjust->add_option("--idempotency-key", a.adjust.idempotency_key,
                     "Adjusting again with the same key changes nothing");
  leaf(*stock, a, "get", "One product", [&a](const Context& context) { return stock_get(context, a.product); })
      ->add_option("product", a.product)
      ->required();
  leaf(*stock, a, "list", "All products", stock_list);
  auto* reconcile = leaf(*stock, a, "reconcile", "Compare what ledger, Redis, orders and Kafka say, and how to mend what differs",
                         [&a](const Context& context) {
                           a.reconcile.topics = !a.no_topics;
                           return stock_reconcile(context, a.reconcile);
                         });
  reconcile->add_flag("--mend", a.reconcile.mend, "Have Redis written anew from the ledger when that is what helps");
  reconcile->add_flag("--no-topics", a.no_topics, "Leave Kafka out: its topics are read from their beginning");
}

void add_topics(CLI::App& app, Arguments& a) {
  auto* topics = group(app, "topics", "Look at the topics themselves");
  leaf(*topics, a, "list", "All topics and their partitions", topics_list);
  leaf(*topics, a, "create", "Make those that are missing", topics_create);
  auto* tail = leaf(*topics, a, "tail", "Print records as they come",
                    [&a](const Context& context) { return topics_tail(context, a.tail); });
  tail->add_option("topics", a.tail.topics, "Which; all of the table without")->expected(0, 100);
  tail->add_flag("--from-beginning", a.tail.from_beginning, "Also what is there already");
  tail->add_flag("--dead-letters", a.tail.dead_letters, "Without names: the dead letters too");
  tail->add_option("-n,--limit", a.tail.limit, "End after so many records");
}

void add_dlq(CLI::App& app, Arguments& a) {
  auto* dlq = group(app, "dlq", "Dead letters: look at them, write them back, put them away");
  auto* list = leaf(*dlq, a, "ls", "Those that wait for a decision, oldest first",
                    [&a](const Context& context) { return dlq_ls(context, a.letters); });
  list->add_option("--cause", a.letters.cause, "Whose cause begins so");
  list->add_option("--topic", a.letters.topic, "Of this topic only");
  list->add_option("--order", a.letters.order, "Of this order only");
  list->add_flag("--decided", a.letters.decided, "Also those that were replayed or discarded, by whom and why");
  list->add_option("--limit", a.letters.limit, "How many at most; 0: all")->capture_default_str();
  leaf(*dlq, a, "show", "One, with everything in it", [&a](const Context& context) {
    return dlq_show(context, a.id);
  })->add_option("id", a.id, "TOPIC/PARTITION/OFFSET, as `dlq ls` shows it")->required();
  auto decide = [&](const std::string& name, const std::string& help,
                    int (*command)(const Context&, const DlqDecide&)) {
    auto* made = leaf(*dlq, a, name, help, [&a, command](const Context& context) { return command(context, a.decide); });
    made->add_option("id", a.decide.ids, "TOPIC/PARTITION/OFFSET, one or more")->expected(0, 1000);
    made->add_option("--cause", a.decide.cause, "All whose cause begins so");
    made->add_option("--topic", a.decide.topic, "All of this topic");
    made->add_option("--order", a.decide.order, "All of this order");
    made->add_flag("--all", a.decide.all, "All that wait for a decision");
    made->add_option("--reason", a.decide.reason, "Why; kept with who and when");
    made->add_flag("--dry-run", a.decide.dry_run, "Only say what would be done");
  };
  decide("replay", "Write records to the topics they came from, in their order", dlq_replay);
  decide("discard", "Put them away: they are not offered again", dlq_discard);
}

void add_load(CLI::App& app, Arguments& a) {
  auto* load_app = leaf(app, a, "load", "Place many orders, wait for their ends, check that nothing was lost",
                        [&a](const Context& context) {
                          a.load.timeout_ms = duration_of("--timeout", a.load_timeout);
                          a.load.via = a.via == "http" ? Via::http : a.via == "kafka" ? Via::kafka : Via::batch;
                          a.load.stock = !a.no_stock;
                          a.load.check = !a.no_check;
                          Context mine = context;
                          if (a.load_json) mine.format = Format::json;
                          return load(mine, a.load);
                        });
  auto& o = a.load;
  load_app->add_option("--orders", o.orders, "How many")->capture_default_str();
  load_app->add_option("--via", a.via, "http: a request each; batch: NDJSON; kafka: bare records of order.placed")
      ->capture_default_str()
      ->check(CLI::IsMember({"http", "batch", "kafka"}));
  auto* window =
      load_app->add_option("--window", o.window, "Closed loop: orders in flight at most")->capture_default_str();
  load_app->add_option("--rate", o.rate, "Open loop: orders per second, whatever comes of them")->excludes(window);
  load_app->add_option("--connections", o.connections, "HTTP connections (64 for http, 2 for batch)");
  load_app->add_option("--batch", o.batch, "Orders of one batch call")->capture_default_str();
  load_app->add_option("--products", o.products, "How many products they are spread over")->capture_default_str();
  load_app->add_option("--lines", o.lines, "Lines of each order")->capture_default_str();
  load_app->add_option("--declined", o.declined, "Percent whose payment is declined");
  load_app->add_option("--out-of-stock", o.out_of_stock, "Percent that ask for something nobody has");
  load_app->add_flag("--no-stock", a.no_stock, "Use the stock that an earlier run with the same --prefix has set");
  load_app->add_flag("--no-check", a.no_check, "Leave out the sums and samples over HTTP at the end");
  load_app->add_option("--prefix", o.prefix, "Of products, users and ids (load-<time>)");
  load_app->add_option("--stock-url", o.stock_url, "Where the inventory role runs, if not at --url");
  load_app->add_option("--pids", o.pids, "Whose CPU is counted: auto, none, or name=pid,...")->capture_default_str();
  load_app->add_option("--timeout", a.load_timeout, "Give up after this time")->capture_default_str();
  load_app->add_flag("--json", a.load_json, "The same as -o json");
}

void add_rest(CLI::App& app, Arguments& a, NodeRunner& run_node) {
  auto* node = leaf(app, a, "node", "Run a node until SIGTERM",
                    [&run_node](const Context& context) { return run_node(context.options); });
  node->footer([] { return "\nOptions of the configuration, with their defaults:\n" + options::documented_help(); });
  auto* broker_app = leaf(app, a, "broker", "Run the embedded Kafka stand-in until SIGTERM",
                          [&a](const Context& context) { return broker(context, a.broker); });
  broker_app->add_option("--port", a.broker.port, "On 127.0.0.1; 0 takes a free one (kafka.broker's)")
      ->check(CLI::Range(0, 65535));
  broker_app->add_option("--partitions", a.broker.partitions, "Of every order-keyed topic (kafka.partitions)")
      ->check(CLI::Range(1, 1000));
  broker_app->add_flag("--die-with-parent", a.broker.die_with_parent, "End when the process that started it ends");
  auto* explain = group(app, "explain", "How orders behave");
  leaf(*explain, a, "table", "What every event does in every state", [&a](const Context& context) {
    return explain_table(context, a.state);
  })->add_option("state", a.state, "Only this state");
  leaf(*explain, a, "topics", "What every topic says, who writes it and who reads it", explain_topics);
  auto* config = group(app, "config", "Look at the configuration");
  // What is wrong has ended the program before, with 2.
  leaf(*config, a, "check", "Say what is wrong with it", [](const Context& context) {
    std::cout << (context.format == Format::json ? "{\"errors\": []}\n" : "the configuration is right\n");
    return exit_ok;
  });
  leaf(*config, a, "print", "The values in force and where each comes from; secrets as ***",
       [](const Context& context) {
         std::cout << options::print(context.options,
                                     context.format == Format::json ? options::Format::json : options::Format::conf);
         return exit_ok;
       });
  // Written into config/cartwright.conf and .env.example; the tests compare.
  auto* document =
      leaf(*config, a, "document", "Every option with its default, as a file to begin with", [&a](const Context&) {
        std::cout << (a.as_env ? options::documented_env() : options::documented_conf());
        return exit_ok;
      });
  document->add_flag("--env", a.as_env, "As variables, for .env");
  document->parse_complete_callback([&a] { a.pure = true; });
  leaf(app, a, "version", "The version", [](const Context&) {
    std::cout << "cartwright " CARTWRIGHT_VERSION "\n";
    return exit_ok;
  })->parse_complete_callback([&a] { a.pure = true; });
}

// -- completion
// ----------------------------------------------------------------------------------------------------------

// What may follow the commands of `path`, and everything below it.
void collect(const CLI::App& app, const std::string& path, std::vector<Completions>& all) {
  Completions here{path, {}, {}};
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* one : below) here.commands.emplace_back(one->get_name(), one->get_description());
  for (const auto* one : app.get_options())
    for (const auto& name : one->get_lnames()) here.options.emplace_back("--" + name, one->get_description());
  all.push_back(std::move(here));
  for (const auto* one : below) collect(*one, path.empty() ? one->get_name() : path + " " + one->get_name(), all);
}

void add_completion(CLI::App& app, Arguments& a) {
  auto* completion = group(app, "completion", "Let the shell complete our words");
  for (const char* shell : {"bash", "zsh", "fish"})
    leaf(*completion, a, shell, std::string("Print a script for ") + shell, [&app, shell](const Context&) {
      std::vector<Completions> all;
      collect(app, "", all);
      std::vector<std::pair<std::string, std::string>> settings;
      for (const auto& row : options::table()) settings.emplace_back("--" + row.name, row.help);
      std::cout << completion_script(shell, all, settings);
      return exit_ok;
    })->parse_complete_callback([&a] { a.pure = true; });
}

// -- the whole
// -----------------------------------------------------------------------------------------------------------

void say_all(const std::vector<std::string>& texts, const char* kind) {
  for (const auto& text : texts) std::cerr << "cartwright: " << kind << text << '\n';
}

// A word that was mistyped, for a person who reads the message.
std::string did_you_mean(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* at = &app;
  for (const auto& word : arguments) {
    auto all = at->get_subcommands([](const CLI::App*) { return true; });
    auto found = std::find_if(all.begin(), all.end(), [&](const CLI::App* one) { return one->get_name() == word; });
    if (found != all.end()) {
      at = *found;
      continue;
    }
    std::vector<std::string> names;
    if (word.starts_with("-")) {
      std::string bare = word.substr(0, word.find('='));
      for (const CLI::App* one : {at, &app})
        for (const auto* option : one->get_options())
          for (const auto& name : option->get_lnames()) names.push_back("--" + name);
      if (std::find(names.begin(), names.end(), bare) != names.end() || bare.size() <= 2) continue;
      for (const auto& row : options::table()) names.push_back("--" + row.name);
      if (std::string meant = options::nearest(bare, names); !meant.empty()) return "; did you mean " + meant + "?";
    } else if (!all.empty()) {
      for (const auto* one : all) names.push_back(one->get_name());
      std::string meant = options::nearest(word, names);
      return "; there is no command " + word + (meant.empty() ? "" : ": did you mean " + meant + "?");
    }
  }
  return {};
}

int run(std::vector<std::string> arguments, NodeRunner& run_node) {
  Arguments a;
  CLI::App app("Cartwright: an order-fulfilment engine. Every order is an actor; Kafka joins the five roles.",
               "cartwright");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(examples);
  app.add_option("--url", a.url, "The node's API, http://host:port (CARTWRIGHT_URL, else http.listen)");
  app.add_option("--token", a.token, "For an API with tokens (CARTWRIGHT_TOKEN)");
  app.add_option("-o,--output", a.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  // Read by the configuration before CLI11 sees the arguments; here for --help and for completion.
  std::string unused;
  app.add_option("--config", unused, "A configuration file instead of ./cartwright.conf");
  app.set_version_flag("--version", "cartwright " CARTWRIGHT_VERSION);
  add_rest(app, a, run_node);
  add_order(app, a);
  add_stock(app, a);
  add_topics(app, a);
  add_dlq(app, a);
  add_load(app, a);
  std::vector<std::string> warnings;
  leaf(app, a, "doctor", "Look at everything a node needs, and say how to mend it",
       [&warnings](const Context& context) { return doctor(context, warnings); });
  add_completion(app, a);

  auto flags = options::take_flags(arguments);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);  // --help, --version
    if (arguments.empty()) {
      std::cerr << app.help();
      return exit_usage;
    }
    std::cerr << "cartwright: " << error.what() << did_you_mean(app, arguments) << " (see cartwright --help)\n";
    return exit_usage;
  }
  Context context;
  context.url = a.url.empty() ? variable("CARTWRIGHT_URL") : a.url;
  context.token = a.token.empty() ? variable("CARTWRIGHT_TOKEN") : a.token;
  context.format = a.output == "json" ? Format::json : Format::table;
  if (a.pure) return a.command(context);
  auto loaded = options::load(options::sources_of_process(std::move(flags)));
  warnings = loaded.warnings;
  say_all(loaded.warnings, "warning: ");
  say_all(loaded.errors, "");
  if (!loaded.options) return exit_usage;
  context.options = std::move(*loaded.options);
  int code = a.command(context);
  std::cout.flush();
  return code;
}

}  // namespace

int run_cli(int argc, char** argv, NodeRunner run_node) {
  try {
    return run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), run_node);
  } catch (const CommandError& error) {
    std::cout.flush();
    std::cerr << "cartwright: " << error.what() << '\n';
    return error.code();
  } catch (const std::exception& error) {
    std::cout.flush();
    std::cerr << "cartwright: " << error.what() << '\n';
    return exit_failure;
  }
}

}  // namespace cartwright::cli
