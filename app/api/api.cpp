#include "app/api/api.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <array>
#include <mutex>
#include <random>

#include "actors/limits.hpp"
#include "app/api/assets.hpp"
#include "app/api/clerk.hpp"
#include "app/api/desk.hpp"
#include "app/api/door.hpp"
#include "app/api/openapi.hpp"
#include "app/api/requests.hpp"
#include "app/api/watch.hpp"
#include "bridges/http/problem.hpp"
#include "bridges/json/text.hpp"
#include "bridges/signing/signature.hpp"

namespace cartwright::api {
namespace {

// -- routes ----

enum class Page : std::uint8_t {
  none,
  page,
  openapi,
  livez,
  readyz,
  metrics,
  actors,
  parked,
  orders,
  batch,
  order,
  history,
  events,
  notifications,
  charges,
  cancel,
  retry,
  stock_list,
  stock,
  adjustments,
  stock_check,
  stock_rebuild,
  payment_callback,
  shipping_callback
};

/// A row of the table of routes. `{}` stands for any segment.
struct Route {
  Page page;
  std::array<std::string_view, 4> path;  // "" ends it
  std::array<std::string_view, 2> methods;
  std::optional<RoleId> role;
};

constexpr std::string_view any = "{}";
constexpr std::array routes = {
    Route{Page::page, {}, {"GET"}, {}},
    Route{Page::page, {"assets", any}, {"GET"}, {}},
    Route{Page::openapi, {"openapi.json"}, {"GET"}, {}},
    Route{Page::livez, {"livez"}, {"GET"}, {}},
    Route{Page::readyz, {"readyz"}, {"GET"}, {}},
    Route{Page::metrics, {"metrics"}, {"GET"}, {}},
    Route{Page::actors, {"v1", "actors"}, {"GET"}, {}},
    Route{Page::parked, {"v1", "parked"}, {"GET"}, RoleId::order},
    Route{Page::orders, {"v1", "orders"}, {"GET", "POST"}, RoleId::order},
    Route{Page::batch, {"v1", "orders:batch"}, {"POST"}, RoleId::order},
    Route{Page::order, {"v1", "orders", any}, {"GET"}, RoleId::order},
    Route{Page::history, {"v1", "orders", any, "history"}, {"GET"}, RoleId::order},
    Route{Page::events, {"v1", "orders", any, "events"}, {"GET"}, RoleId::order},
    Route{Page::notifications, {"v1", "orders", any, "notifications"}, {"GET"}, RoleId::notification},
    Route{Page::charges, {"v1", "orders", any, "charges"}, {"GET"}, RoleId::payment},
    Route{Page::cancel, {"v1", "orders", any, "cancel"}, {"POST"}, RoleId::order},
    Route{Page::retry, {"v1", "orders", any, "retry"}, {"POST"}, RoleId::order},
    Route{Page::stock_list, {"v1", "stock"}, {"GET"}, RoleId::inventory},
    Route{Page::stock, {"v1", "stock", any}, {"GET", "PUT"}, RoleId::inventory},
    Route{Page::adjustments, {"v1", "stock", any, "adjustments"}, {"POST"}, RoleId::inventory},
    Route{Page::stock_check, {"v1", "stock:check"}, {"GET", "POST"}, RoleId::inventory},
    Route{Page::stock_rebuild, {"v1", "stock:rebuild"}, {"POST"}, RoleId::inventory},
    Route{Page::payment_callback, {"v1", "callbacks", "payment"}, {"POST"}, RoleId::payment},
    Route{Page::shipping_callback, {"v1", "callbacks", "shipping"}, {"POST"}, RoleId::shipping},
};

const Route* route_of(const std::vector<std::string>& segments) {
  for (const Route& route : routes) {
    const auto size =
        static_cast<std::size_t>(std::find(route.path.begin(), route.path.end(), "") - route.path.begin());
    if (size != segments.size()) continue;
    auto fits = [](std::string_view part, const std::string& segment) {
      return part == any ? !segment.empty() : part == segment;
    };
    if (std::equal(segments.begin(), segments.end(), route.path.begin(),
                   [&](const std::string& segment, std::string_view part) { return fits(part, segment); }))
      return &route;
  }
  return nullptr;
}

bool allows(const Route& route, std::string_view method) {
  return std::find(route.methods.begin(), route.methods.end(), method) != route.methods.end();
}

http::Response refused(const Refusal& refusal) {
  if (refusal.field.empty()) return http::problem(refusal.status, {}, refusal.detail);
  return http::problem(refusal.status, {}, refusal.detail, {{"field", refusal.field}});
}

http::Response text(int status, std::string body) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .headers = {}, .body = std::move(body)};
}

/// Compares in a time that does not tell how much of the token was right.
bool same_secret(std::string_view given, std::string_view token) {
  std::size_t differences = given.size() ^ token.size();
  for (std::size_t i = 0; i < given.size(); ++i)
    differences |= static_cast<std::size_t>(given[i] ^ token[token.empty() ? 0 : i % token.size()]);
  return differences == 0;
}

std::string parameter(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return {};
}

bool has_parameter(const http::Request& request, std::string_view name) {
  return std::any_of(request.query.begin(), request.query.end(), [&](const auto& each) { return each.first == name; });
}

bool public_status(std::string_view name) {
  constexpr std::array<std::string_view, 8> names{"pending",   "inventory_reserved", "paid",           "shipped",
                                                  "delivered", "cancelled",          "payment_failed", "refunded"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

// -- the handler ----

/// What all copies of the handler share. Its functions run on the server's thread and do not block.
class Api {
 public:
  Api(caf::actor_system& system, ApiDeps deps)
      : deps_(std::move(deps)),
        ids_(deps_.clock, [random = std::mt19937_64(deps_.random())]() mutable { return random(); }) {
    if (contains(deps_.roles, RoleId::order)) {
      door_ = spawn_door(system, door_deps());
      batches_ = spawn_batch_reader(system, door_deps(), door_);
      watch_ = spawn_watch(system, deps_.order_reader, deps_.codec);
    }
    if (contains(deps_.roles, RoleId::inventory))
      desk_ =
          spawn_desk(system, {deps_.inventory_store, deps_.inventory_reader, deps_.stock, deps_.clock, deps_.patience});
    clerk_ =
        spawn_clerk(system, {deps_.settings, deps_.roles, deps_.order_reader, deps_.notification_reader, deps_.producer,
                             deps_.charges, deps_.codec, deps_.clock, deps_.owner, deps_.patience});
  }

  ~Api() {
    for (const auto& actor :
         {caf::actor_cast<caf::strong_actor_ptr>(door_), caf::actor_cast<caf::strong_actor_ptr>(batches_),
          caf::actor_cast<caf::strong_actor_ptr>(watch_), caf::actor_cast<caf::strong_actor_ptr>(desk_),
          caf::actor_cast<caf::strong_actor_ptr>(clerk_)})
      if (actor) caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::user_shutdown);
  }
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  void handle(http::Request request, http::Responder responder) {
    const Route* route = route_of(request.segments);
    const bool versioned = !request.segments.empty() && request.segments.front() == "v1";
    // Callbacks have a signature instead of a token.
    const auto* secrets = route == nullptr ? nullptr : callback_secrets(route->page);
    const bool is_callback = secrets != nullptr && !secrets->empty();
    if (versioned && !is_callback && !authorised(request)) {
      auto response = http::problem(401, {}, "a bearer token is needed");
      response.headers.push_back({"WWW-Authenticate", "Bearer"});
      return responder.send(std::move(response));
    }
    if (route == nullptr || (route->page == Page::page && asset(request) == nullptr))
      return responder.send(http::problem(404, {}, "there is nothing at " + request.path));
    const bool read = request.method == "GET" || request.method == "HEAD";
    if (!allows(*route, read ? "GET" : request.method)) return responder.send(not_allowed(*route));
    if (route->role && !contains(deps_.roles, *route->role)) return responder.send(not_here(*route->role));
    if (!read && deps_.draining && deps_.draining())
      return responder.send(http::problem(503, {}, "the node is shutting down; ask another one, or again soon"));
    if (read)
      get(route->page, request, responder);
    else
      change(route->page, request, responder);
  }

 private:
  [[nodiscard]] DoorDeps door_deps() {
    return {deps_.settings, deps_.order_store, deps_.producer, deps_.codec,
            deps_.clock,    deps_.random(),    deps_.patience};
  }

  [[nodiscard]] const page::Asset* asset(const http::Request& request) const {
    const auto at = std::find_if(deps_.page.begin(), deps_.page.end(),
                                 [&](const page::Asset& each) { return each.path == request.path; });
    return at == deps_.page.end() ? nullptr : &*at;
  }

  /// The secrets of a page that takes callbacks; null for others.
  [[nodiscard]] const std::vector<std::string>* callback_secrets(Page page) const {
    if (page == Page::payment_callback) return &deps_.callback_secrets.payment;
    return page == Page::shipping_callback ? &deps_.callback_secrets.shipping : nullptr;
  }

  [[nodiscard]] bool authorised(const http::Request& request) const {
    if (deps_.tokens.empty()) return true;
    std::string_view given = request.header("Authorization");
    constexpr std::string_view scheme = "bearer ";
    const bool bearer = given.size() > scheme.size() && std::equal(scheme.begin(), scheme.end(), given.begin(),
                                                                   [](char a, char b) { return a == (b | 0x20); });
    if (!bearer) return false;
    given.remove_prefix(scheme.size());
    bool known = false;
    for (const std::string& token : deps_.tokens) known |= same_secret(given, token);
    return known;
  }

  static http::Response not_allowed(const Route& route) {
    std::string allow;
    for (std::string_view method : route.methods) {
      if (method.empty()) continue;
      if (!allow.empty()) allow += ", ";
      allow += method;
      if (method == "GET") allow += ", HEAD";
    }
    auto response = http::problem(405, {}, "allowed here: " + allow);
    response.headers.push_back({"Allow", allow});
    return response;
  }

  static http::Response not_here(RoleId role) {
    const std::string name(to_string(role));
    return http::problem(404, "Role not here",
                         "the role `" + name + "` does not run on this node; ask a node that runs it",
                         {{"role", name}});
  }

  // -- GET and HEAD ----

  void get(Page page, http::Request& request, http::Responder& responder) {
    switch (page) {
      case Page::page: return responder.send(served(*asset(request), request));
      case Page::openapi:
        return responder.send(
            {.status = 200, .content_type = "application/json", .headers = {}, .body = std::string(openapi_json())});
      case Page::livez: return responder.send(text(200, "ok\n"));
      case Page::readyz: return readyz(request, responder);
      case Page::metrics:
        return responder.send({.status = 200,
                               .content_type = "text/plain; version=0.0.4; charset=utf-8",
                               .headers = {},
                               .body = deps_.metrics ? deps_.metrics() : std::string()});
      case Page::orders: return list(request, responder);
      case Page::stock_list: return list_stock(request, responder);
      case Page::stock: return show_stock(request, responder);
      case Page::stock_check: return show_check(200, responder);
      case Page::actors: return ask(Ask::What::actors, request, responder);
      case Page::parked: return list_parked(request, responder);
      case Page::order: return ask(Ask::What::order, request, responder);
      case Page::history: return ask(Ask::What::history, request, responder);
      case Page::notifications: return ask(Ask::What::notifications, request, responder);
      case Page::charges: return ask(Ask::What::charges, request, responder);
      case Page::events: return follow(request, responder);
      default: return;  // changes only: the table of routes has let nobody in
    }
  }

  void readyz(const http::Request& request, const http::Responder& responder) const {
    auto checks = deps_.readiness ? deps_.readiness() : std::vector<std::pair<std::string, std::string>>();
    if (deps_.draining && deps_.draining()) checks.emplace_back("shutdown", "the node is draining");
    std::string verbose, reasons;
    for (const auto& [name, reason] : checks) {
      verbose += reason.empty() ? "[+]" + name + " ok\n" : "[-]" + name + " " + reason + "\n";
      if (!reason.empty()) reasons += (reasons.empty() ? "" : "; ") + name + ": " + reason;
    }
    if (deps_.notes)  // what orders can wait for without this node being of no use
      for (const auto& [name, note] : deps_.notes())
        verbose += note.empty() ? "[+]" + name + " ok\n" : "[~]" + name + " " + note + "\n";
    const int status = reasons.empty() ? 200 : 503;
    if (has_parameter(request, "verbose"))
      return responder.send(text(status, verbose + (status == 200 ? "ok\n" : "not ready\n")));
    responder.send(status == 200 ? text(200, "ok\n") : http::problem(503, "Not ready", reasons));
  }

  /// The order in the path; nothing, and a 404, when no order can have that id.
  [[nodiscard]] static std::optional<OrderId> order_in(const http::Request& request, const http::Responder& responder) {
    if (request.segments.size() < 3) return OrderId{};
    if (valid_id(request.segments[2])) return OrderId{request.segments[2]};
    responder.send(http::problem(
        404, {}, "there is no order with such an id: ids have 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -"));
    return {};
  }

  void ask(Ask::What what, const http::Request& request, const http::Responder& responder) const {
    auto order = order_in(request, responder);
    if (!order) return;
    caf::anon_send(clerk_, Ask{what, std::move(*order), std::string(request.header("If-None-Match")), {}, responder});
  }

  void follow(const http::Request& request, const http::Responder& responder) const {
    auto order = order_in(request, responder);
    if (!order) return;
    if (request.method == "HEAD") return ask(Ask::What::order, request, responder);
    caf::anon_send(watch_, Follow{std::move(*order), std::string(request.header("Last-Event-ID")), responder});
  }

  /// page_size and page_token; nothing, and a 400, when they are wrong.
  [[nodiscard]] static std::optional<std::pair<int, std::string>> page_in(const http::Request& request, char kind,
                                                                          const http::Responder& responder) {
    auto wrong = [&](const std::string& field, const std::string& what) {
      responder.send(refused({400, field + ": " + what, field}));
      return std::nullopt;
    };
    const auto size = read_page_size(parameter(request, "page_size"));
    if (!size) return wrong("page_size", "must be an integer from 1 on");
    std::string after;
    if (const std::string token = parameter(request, "page_token"); !token.empty()) {
      auto key = read_page_token(kind, token);
      if (!key) return wrong("page_token", "is not the next_page_token of such a list");
      after = std::move(*key);
    }
    return std::pair(*size, std::move(after));
  }

  void list(const http::Request& request, const http::Responder& responder) const {
    auto page = page_in(request, 'o', responder);
    if (!page) return;
    ListRows rows{parameter(request, "status"), parameter(request, "user_id"), std::move(page->second), page->first};
    if (!rows.state.empty() && !public_status(rows.state))
      return responder.send(refused({400, "status: is not a status of an order", "status"}));
    // Orders from Kafka may be of any user.
    if (rows.owner.size() > limits::text_bytes_max)
      return responder.send(refused({400, "user_id: has " + std::to_string(limits::text_bytes_max) + " bytes at most", "user_id"}));
    caf::anon_send(clerk_, Ask{Ask::What::list, {}, {}, std::move(rows), responder});
  }

  void list_parked(const http::Request& request, const http::Responder& responder) const {
    auto page = page_in(request, 'p', responder);
    if (page) caf::anon_send(clerk_, Ask{Ask::What::parked, {}, {}, {{}, {}, std::move(page->second), page->first}, responder});
  }

  void list_stock(const http::Request& request, const http::Responder& responder) const {
    auto page = page_in(request, 's', responder);
    if (page) caf::anon_send(desk_, ShowStock{{}, std::move(page->second), page->first, responder});
  }

  void show_stock(const http::Request& request, const http::Responder& responder) const {
    const std::string& id = request.segments[2];
    if (!valid_id(id)) return responder.send(http::problem(404, {}, "there is no product with such an id"));
    caf::anon_send(desk_, ShowStock{{id}, {}, 0, responder});
  }

  void show_check(int status, const http::Responder& responder) const {
    if (!deps_.stock_audit.last) return responder.send(http::problem(503, {}, "this node does not compare its stock"));
    responder.send({.status = status, .content_type = "application/json", .headers = {}, .body = stock_check_json(deps_.stock_audit.last())});
  }

  // -- POST and PUT ----

  void change(Page page, http::Request& request, http::Responder& responder) {
    std::string key;
    if (request.has_header("Idempotency-Key")) {
      auto read = read_idempotency_key(request.header("Idempotency-Key"));
      if (const auto* refusal = std::get_if<Refusal>(&read)) return responder.send(refused(*refusal));
      key = std::move(std::get<std::string>(read));
    }
    switch (page) {
      case Page::orders: return place(std::move(key), request, responder);
      case Page::batch: return place_batch(std::move(key), request, responder);
      case Page::cancel: return ask(Ask::What::cancel, request, responder);
      case Page::retry: return ask(Ask::What::retry, request, responder);
      case Page::stock: return change_stock(read_stock, std::move(key), request, responder);
      case Page::adjustments: return change_stock(read_adjustment, std::move(key), request, responder);
      case Page::stock_check:
        if (deps_.stock_audit.check) deps_.stock_audit.check();
        return show_check(202, responder);
      case Page::stock_rebuild:
        if (deps_.stock_audit.rebuild) deps_.stock_audit.rebuild();
        return show_check(202, responder);
      case Page::payment_callback: return take_callback(page, RoleId::payment, request, responder);
      case Page::shipping_callback: return take_callback(page, RoleId::shipping, request, responder);
      default: return;  // questions only: the table of routes has let nobody in
    }
  }

  static bool has_media(bool right, std::string_view wanted, const http::Responder& responder) {
    if (!right) responder.send(http::problem(415, {}, "the body must be " + std::string(wanted) + " in UTF-8"));
    return right;
  }

  static std::string trace_of(const http::Request& request) {
    const std::string_view trace = request.header("traceparent");
    return json::is_traceparent(trace) ? std::string(trace) : std::string();
  }

  void take_callback(Page page, RoleId role, const http::Request& request, const http::Responder& responder) const {
    const auto& secrets = *callback_secrets(page);
    if (secrets.empty())
      return responder.send(http::problem(404, "No callbacks here", "callbacks are not taken: set " + std::string(to_string(role)) + ".callback-secret"));
    const std::string fault =
        signing::fault_of(request.header(signing::header_name), request.body, secrets, deps_.clock() / 1000);
    if (!fault.empty()) return responder.send(http::problem(401, "Signature wrong", "the callback " + fault));
    if (!has_media(is_json(request.header("Content-Type")), "application/json", responder)) return;
    auto read = read_callback(role, request.body);
    if (const auto* refusal = std::get_if<Refusal>(&read)) return responder.send(refused(*refusal));
    auto outcome = std::make_shared<const Outcome>(std::move(std::get<Outcome>(read)));
    caf::anon_send(clerk_, Ask{Ask::What::report, {outcome->key}, {}, {}, responder, role, outcome});
  }

  /// Rule 13: what a node cannot work off, it does not promise.
  [[nodiscard]] bool behind(const http::Responder& responder) const {
    if (!deps_.behind || !deps_.behind()) return false;
    responder.send(http::problem(503, "Behind", "orders come in faster than they are worked off, and as many wait as may "
                                 "(order.backlog-max); nothing was placed; try again"));
    return true;
  }

  void place(std::string key, http::Request& request, http::Responder& responder) const {
    if (!has_media(is_json(request.header("Content-Type")), "application/json", responder) || behind(responder)) return;
    auto read = read_order(request.body);
    if (const auto* refusal = std::get_if<Refusal>(&read)) return responder.send(refused(*refusal));
    auto& event = std::get<Event>(read);
    event.traceparent = trace_of(request);
    std::string hash = key.empty() ? std::string() : request_hash(request.method, request.path, request.body);
    caf::anon_send(door_, Submit{std::move(event), std::move(key), std::move(hash), std::move(responder)});
  }

  void place_batch(std::string key, http::Request& request, http::Responder& responder) const {
    if (!has_media(is_ndjson(request.header("Content-Type")), "application/x-ndjson", responder)) return;
    if (request.body.size() > bounds::batch_bytes_max)
      return responder.send(
          http::problem(413, {}, "a batch may have " + std::to_string(bounds::batch_bytes_max) + " bytes"));
    if (behind(responder)) return;
    std::string trace = trace_of(request);
    caf::anon_send(batches_,
                   ReadBatch{std::move(request.body), std::move(key), std::move(trace), std::move(responder)});
  }

  void change_stock(Read<StockChange> (*read_body)(std::string_view), std::string key, http::Request& request,
                    http::Responder& responder) {
    if (!has_media(is_json(request.header("Content-Type")), "application/json", responder)) return;
    const std::string& product = request.segments[2];
    if (!valid_id(product))
      return responder.send(
          refused({422, "product_id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -", "product_id"}));
    auto read = read_body(request.body);
    if (const auto* refusal = std::get_if<Refusal>(&read)) return responder.send(refused(*refusal));
    auto& stock_change = std::get<StockChange>(read);
    stock_change.product.value = product;
    stock_change.id = next_id();
    stock_change.at = deps_.clock();
    if (!key.empty())
      stock_change.answer = StoredAnswer{
          std::move(key), request_hash(request.method, request.path, request.body), 0, {}, {}, stock_change.at};
    caf::anon_send(desk_, ChangeByHand{std::move(stock_change), std::move(responder)});
  }

  std::string next_id() {
    const std::lock_guard lock(ids_mutex_);
    return ids_.next();
  }

  ApiDeps deps_;
  std::mutex ids_mutex_;  // the server may have several threads
  UuidSource ids_;        // of changes of stock
  DoorActor door_;
  BatchActor batches_;
  ClerkActor clerk_;
  WatchActor watch_;
  DeskActor desk_;
};

}  // namespace

http::Handler make_api(caf::actor_system& system, ApiDeps deps) {
  auto api = std::make_shared<Api>(system, std::move(deps));
  return [api](http::Request request, http::Responder responder) {
    api->handle(std::move(request), std::move(responder));
  };
}

std::size_t body_limit(std::string_view, std::string_view path) {
  return path == "/v1/orders:batch" ? bounds::batch_bytes_max : bounds::line_bytes_max;
}

}  // namespace cartwright::api
