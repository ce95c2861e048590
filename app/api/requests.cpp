// Bodies are read by nlohmann's SAX interface into a flat list of members: one pass tells what is no JSON, what is
// there twice, and what the members are. Single orders come through here by the ten thousand a second.

#include "app/api/requests.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "actors/limits.hpp"
#include "bridges/json/text.hpp"

namespace cartwright::api {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 3> opaque_names{"ship_to", "contact", "metadata"};

// huge: an integer beyond 64 bits. fraction: a number with a fraction or an exponent.
enum class Kind : std::uint8_t { null, boolean, integer, huge, fraction, text, object, array };

struct Field {
  std::string name;
  Kind kind = Kind::null;
  std::int64_t number = 0;
  std::string text;
};

/// The members of an object in their order. Names are unique once a body has been read.
struct Fields {
  std::vector<Field> all;

  /// The member `name`; null when it is missing or JSON's null.
  [[nodiscard]] const Field* find(std::string_view name) const {
    for (const Field& field : all)
      if (field.name == name) return field.kind == Kind::null ? nullptr : &field;
    return nullptr;
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::any_of(all.begin(), all.end(), [&](const Field& field) { return field.name == name; });
  }
};

struct Item {
  bool object = false;
  Fields fields;
};

// The SAX handler. Depth 1 are the body's members, 2 the elements of `items`, 3 their members.
class BodyReader {
 public:
  bool null() { return take({{}, Kind::null, 0, {}}); }
  bool boolean(bool) { return take({{}, Kind::boolean, 0, {}}); }
  bool number_integer(std::int64_t number) { return take({{}, Kind::integer, number, {}}); }
  bool number_unsigned(std::uint64_t number) {
    constexpr std::uint64_t most = INT64_MAX;
    if (number > most) return take({{}, Kind::huge, 0, {}});
    return take({{}, Kind::integer, static_cast<std::int64_t>(number), {}});
  }
  bool number_float(double, const std::string& spelled) {
    const bool integer = spelled.find_first_of(".eE") == std::string::npos;
    return take({{}, integer ? Kind::huge : Kind::fraction, 0, {}});
  }
  bool string(std::string& text) { return take({{}, Kind::text, 0, std::move(text)}); }
  bool binary(Json::binary_t&) { return false; }  // never in text

  bool start_object(std::size_t) { return open(Kind::object); }
  bool start_array(std::size_t) { return open(Kind::array); }
  bool end_object() {
    std::vector<std::string>& keys = keys_[--depth_];
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end() && !duplicate_)
      duplicate_ = json::shown(*twice);
    keys.clear();
    leave();
    return true;
  }
  bool end_array() {
    --depth_;
    leave();
    return true;
  }

  bool key(std::string& name) {
    keys_[depth_ - 1].push_back(name);
    if (depth_ == 1)
      fields_.all.push_back({std::move(name), Kind::null, 0, {}});
    else if (in_item_ && depth_ == 3)
      items_.back().fields.all.push_back({std::move(name), Kind::null, 0, {}});
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    constexpr int number_overflow = 406;
    overflow_ = error.id == number_overflow;
    broken_at_ = position;
    return false;
  }

  /// What a finished, or broken, body is refused for; status 0: nothing.
  [[nodiscard]] Refusal refusal(bool parsed) const {
    if (too_deep_)
      return {400, "the body is nested deeper than " + std::to_string(limits::json_depth_max) + " levels", {}};
    if (!parsed) return {400, "the body is not JSON in UTF-8 (at byte " + std::to_string(broken_at_) + ")", {}};
    if (not_object_) return {400, "the body is not a JSON object", {}};
    if (duplicate_) return {400, "the key \"" + *duplicate_ + "\" is there twice", *duplicate_};
    return {};
  }
  [[nodiscard]] bool overflow() const { return overflow_; }
  [[nodiscard]] const Fields& fields() const { return fields_; }
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }

 private:
  bool take(Field&& value) {
    if (depth_ == 0) {
      not_object_ = true;
    } else if (depth_ == 1) {
      set(member(), std::move(value));
    } else if (in_item_) {
      if (depth_ == 3) set(items_.back().fields.all.back(), std::move(value));
    } else if (in_items_ && depth_ == 2) {
      add_item(false);
    }
    return true;
  }

  bool open(Kind kind) {
    if (depth_ == 0) {
      not_object_ = kind != Kind::object;
    } else if (depth_ == 1) {
      Field& field = member();
      field.kind = kind;
      in_items_ = kind == Kind::array && field.name == "items";
    } else if (in_item_) {
      if (depth_ == 3) items_.back().fields.all.back().kind = kind;
    } else if (in_items_ && depth_ == 2) {
      add_item(kind == Kind::object);
      in_item_ = kind == Kind::object;
    }
    if (depth_ == keys_.size()) {
      too_deep_ = true;
      return false;
    }
    ++depth_;
    return true;
  }

  // The body's member whose value comes.
  Field& member() { return fields_.all.empty() ? unnamed_ : fields_.all.back(); }

  void leave() {
    if (depth_ == 2) in_item_ = false;
    if (depth_ == 1) in_items_ = false;
  }

  // One more than allowed is enough to know that there are too many.
  void add_item(bool object) {
    if (items_.size() <= limits::items_max)
      items_.push_back({object, {}});
    else
      items_.back() = {object, {}};
  }

  static void set(Field& field, Field&& value) {
    field.kind = value.kind;
    field.number = value.number;
    field.text = std::move(value.text);
  }

  Fields fields_;
  std::vector<Item> items_;
  std::array<std::vector<std::string>, limits::json_depth_max> keys_;  // of the open objects, by depth
  std::size_t depth_ = 0, broken_at_ = 0;
  bool in_items_ = false, in_item_ = false, not_object_ = false, too_deep_ = false, overflow_ = false;
  std::optional<std::string> duplicate_;
  Field unnamed_;  // where the elements of an outermost array go
};

Refusal parse(std::string_view body, BodyReader& reader) {
  // nlohmann takes a NUL for the end of its input, whatever follows.
  if (const auto nul = body.find('\0'); nul != std::string_view::npos)
    return {400, "the body is not JSON in UTF-8 (at byte " + std::to_string(nul) + ")", {}};
  if (Json::sax_parse(body.data(), body.data() + body.size(), &reader)) return reader.refusal(true);
  if (!reader.overflow()) return reader.refusal(false);
  // A number that no double holds is JSON all the same; whether it matters is said by the member it stands in.
  reader = BodyReader();
  const std::string tame = json::with_tame_numbers(body);
  return reader.refusal(Json::sax_parse(tame.data(), tame.data() + tame.size(), &reader));
}

// ---- members
// ---------------------------------------------------------------------------------------------------------

Refusal wrong(const std::string& field, std::string_view what) {
  return {422, field + ": " + std::string(what), field};
}

Refusal get_id(const Fields& from, std::string_view name, const std::string& path, std::string& into) {
  const Field* field = from.find(name);
  if (field == nullptr) return wrong(path, "is missing");
  if (field->kind != Kind::text || !valid_id(field->text))
    return wrong(path, "must be 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -");
  into = field->text;
  return {};
}

Refusal get_integer(const Fields& from, std::string_view name, const std::string& path, std::int64_t least,
                    std::int64_t most, std::int64_t& into) {
  const Field* field = from.find(name);
  if (field == nullptr) return wrong(path, "is missing");
  if (field->kind != Kind::integer || field->number < least || field->number > most)
    return wrong(path, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most) +
                           ", without fraction or exponent");
  into = field->number;
  return {};
}

Refusal get_text(const Field& field, std::string& into) {
  if (field.kind != Kind::text || field.text.size() > limits::text_bytes_max)
    return wrong(field.name, "must be a text of at most " + std::to_string(limits::text_bytes_max) + " bytes");
  into = field.text;
  return {};
}

Refusal get_line(const Fields& from, const std::string& prefix, Line& line) {
  if (Refusal no = get_id(from, "product_id", prefix + "product_id", line.product.value); no.status != 0) return no;
  return get_integer(from, "quantity", prefix + "quantity", 1, limits::quantity_max, line.quantity);
}

Refusal get_items(const Field& field, const std::vector<Item>& items, Event& event) {
  if (field.kind != Kind::array || items.empty() || items.size() > limits::items_max)
    return wrong("items", "must be a list of 1 to " + std::to_string(limits::items_max) + " objects");
  event.itemised = true;
  event.lines.resize(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::string path = "items[" + std::to_string(i) + "]";
    if (!items[i].object) return wrong(path, "must be an object with product_id and quantity");
    if (Refusal no = get_line(items[i].fields, path + ".", event.lines[i]); no.status != 0) return no;
  }
  return {};
}

// SAX says nothing about positions: the opaque members' bytes are found by counting members in a second look.
Refusal get_opaque(std::string_view body, const Fields& from, Event& event) {
  std::vector<json::RawMember> raw;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < from.all.size(); ++i) {
    const Field& field = from.all[i];
    if (field.kind == Kind::null ||
        std::find(opaque_names.begin(), opaque_names.end(), field.name) == opaque_names.end())
      continue;
    if (field.kind != Kind::object) return wrong(field.name, "must be an object");
    if (raw.empty()) raw = json::raw_members(body);
    if (!event.extras.empty()) event.extras += ',';
    event.extras += '"' + field.name + "\":";
    const std::size_t before = event.extras.size();
    json::append_compact(event.extras, raw.at(i).value);
    bytes += event.extras.size() - before;
    if (bytes > limits::opaque_bytes_max)
      return wrong(field.name, "ship_to, contact and metadata may have " + std::to_string(limits::opaque_bytes_max) +
                                   " bytes together");
  }
  return {};
}

bool same_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_media(std::string_view content_type, std::initializer_list<std::string_view> accepted) {
  content_type = trimmed(content_type);
  if (content_type.empty()) return true;
  const std::string_view media = trimmed(content_type.substr(0, content_type.find(';')));
  if (std::none_of(accepted.begin(), accepted.end(),
                   [&](std::string_view type) { return same_ignoring_case(media, type); }))
    return false;
  for (auto at = content_type.find(';'); at != std::string_view::npos;) {
    const auto next = content_type.find(';', at + 1);
    const std::string_view parameter =
        trimmed(content_type.substr(at + 1, next == std::string_view::npos ? next : next - at - 1));
    const auto equals = parameter.find('=');
    if (equals != std::string_view::npos && same_ignoring_case(trimmed(parameter.substr(0, equals)), "charset")) {
      std::string_view charset = trimmed(parameter.substr(equals + 1));
      if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"')
        charset = charset.substr(1, charset.size() - 2);
      if (!same_ignoring_case(charset, "utf-8") && !same_ignoring_case(charset, "us-ascii")) return false;
    }
    at = next;
  }
  return true;
}

}  // namespace

// ---- bodies
// ----------------------------------------------------------------------------------------------------------

Read<Event> read_order(std::string_view body) {
  BodyReader reader;
  if (Refusal no = parse(body, reader); no.status != 0) return no;
  const Fields& fields = reader.fields();
  if (fields.has("order_id")) return Refusal{400, "order_id: ids are given by the engine; leave it out", "order_id"};
  Event event;
  if (const Field* items = fields.find("items")) {
    if (fields.has("product_id") || fields.has("quantity"))
      return Refusal{400, "items: either items, or product_id and quantity, not both", "items"};
    if (Refusal no = get_items(*items, reader.items(), event); no.status != 0) return no;
  } else {
    event.lines.resize(1);
    if (Refusal no = get_line(fields, "", event.lines.front()); no.status != 0) return no;
  }
  if (Refusal no = get_id(fields, "user_id", "user_id", event.user.value); no.status != 0) return no;
  if (const Field* token = fields.find("payment_token"))
    if (Refusal no = get_text(*token, event.payment_token); no.status != 0) return no;
  if (Refusal no = get_opaque(body, fields, event); no.status != 0) return no;
  return event;
}

Read<StockChange> read_stock(std::string_view body) {
  BodyReader reader;
  if (Refusal no = parse(body, reader); no.status != 0) return no;
  const Fields& fields = reader.fields();
  StockChange change;
  change.absolute = true;
  if (Refusal no = get_integer(fields, "quantity", "quantity", 0, limits::stock_max, change.quantity); no.status != 0)
    return no;
  if (fields.find("price_minor") != nullptr) {
    if (Refusal no =
            get_integer(fields, "price_minor", "price_minor", 0, limits::price_minor_max, change.price_minor.emplace());
        no.status != 0)
      return no;
  }
  if (const Field* currency = fields.find("currency")) {
    const bool right =
        currency->kind == Kind::text && currency->text.size() == 3 &&
        std::all_of(currency->text.begin(), currency->text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!right) return wrong("currency", "must be 3 upper-case letters (ISO 4217)");
    change.currency = currency->text;
  }
  if (const Field* name = fields.find("name"))
    if (Refusal no = get_text(*name, change.name.emplace()); no.status != 0) return no;
  return change;
}

Read<StockChange> read_adjustment(std::string_view body) {
  BodyReader reader;
  if (Refusal no = parse(body, reader); no.status != 0) return no;
  const Fields& fields = reader.fields();
  StockChange change;
  if (Refusal no = get_integer(fields, "delta", "delta", -limits::stock_max, limits::stock_max, change.delta);
      no.status != 0)
    return no;
  if (change.delta == 0) return wrong("delta", "must not be 0");
  const Field* reason = fields.find("reason");
  if (reason == nullptr) return wrong("reason", "is missing");
  if (Refusal no = get_text(*reason, change.reason); no.status != 0) return no;
  if (change.reason.empty()) return wrong("reason", "must not be empty");
  return change;
}

// ---- headers and parameters
// ------------------------------------------------------------------------------------------

bool is_json(std::string_view content_type) { return is_media(content_type, {"application/json"}); }

bool is_ndjson(std::string_view content_type) {
  return is_media(content_type,
                  {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"});
}

Read<std::string> read_idempotency_key(std::string_view header) {
  constexpr std::size_t bytes_max = 255;
  header = trimmed(header);
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"') header = header.substr(1, header.size() - 2);
  const bool visible = std::all_of(header.begin(), header.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (header.empty() || header.size() > bytes_max || !visible)
    return Refusal{400, "Idempotency-Key: must be 1 to 255 visible ASCII characters, bare or in quotes", {}};
  return std::string(header);
}

std::string request_hash(std::string_view method, std::string_view path, std::string_view body) {
  std::string all;
  all.reserve(method.size() + path.size() + body.size() + 2);
  all.append(method).append(1, '\n').append(path).append(1, '\n').append(body);
  // The sizes make an accidental collision of the fingerprint less likely still. One client compares with itself only.
  char text[48];
  std::snprintf(text, sizeof text, "%016llx-%zx", static_cast<unsigned long long>(fingerprint(all)), all.size());
  return text;
}

std::vector<std::string_view> lines_of(std::string_view body) {
  std::vector<std::string_view> lines;
  while (!body.empty()) {
    const auto end = body.find('\n');
    std::string_view line = body.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) break;
    body.remove_prefix(end + 1);
  }
  return lines;
}

std::string page_token(char kind, std::string_view key) {
  std::string text = json::to_base64(std::string(1, kind) + std::string(key));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(text.find_last_not_of('=') + 1);
  return text;
}

std::optional<std::string> read_page_token(char kind, std::string_view token) {
  constexpr std::size_t bytes_max = 2 * limits::id_bytes_max;
  if (token.empty() || token.size() > bytes_max || token.find_first_of("+/=") != std::string_view::npos) return {};
  std::string text(token);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  auto bytes = json::from_base64(text);
  if (!bytes || bytes->size() < 2 || bytes->front() != kind || !valid_id(std::string_view(*bytes).substr(1))) return {};
  return bytes->substr(1);
}

std::optional<int> read_page_size(std::string_view text) {
  constexpr int otherwise = 50, most = 1000;
  if (text.empty()) return otherwise;
  if (text.find_first_not_of("0123456789") != std::string_view::npos) return {};
  int size = 0;
  for (char c : text) size = std::min(most, size * 10 + (c - '0'));
  if (size < 1) return {};
  return size;
}

}  // namespace cartwright::api
