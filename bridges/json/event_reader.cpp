// Payloads are read by nlohmann's SAX interface straight into an Event: a document in between costs more than Kafka.
// What contract.md section 1 names is strict; everything else in the object is skipped, but it must be JSON.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "actors/limits.hpp"
#include "bridges/json/payload.hpp"
#include "bridges/json/text.hpp"

namespace cartwright::json {
namespace {

using Json = nlohmann::json;

// The members we know, in the order of `names`.
enum class Member : std::uint8_t {
  order_id, product_id, quantity, user_id, amount, items, txn_id, tracking_id, message, reason, payment_token, currency,
  amount_minor, occasion, ship_to, contact, metadata, other
};
constexpr std::array<std::string_view, 17> names{
    "order_id", "product_id", "quantity", "user_id", "amount", "items", "txn_id", "tracking_id", "message", "reason",
    "payment_token", "currency", "amount_minor", "occasion", "ship_to", "contact", "metadata"};
std::string_view name_of(Member member) { return names[static_cast<std::size_t>(member)]; }

using Members = std::uint32_t;
constexpr Members bit_of(Member member) { return 1u << static_cast<unsigned>(member); }
constexpr Members opaque = bit_of(Member::ship_to) | bit_of(Member::contact) | bit_of(Member::metadata);

// Few names share a length, so the length decides nearly alone.
Member member_named(std::string_view name) {
  auto one_of = [name](auto... candidates) {
    for (Member member : {candidates...})
      if (name == name_of(member)) return member;
    return Member::other;
  };
  switch (name.size()) {
    case 5: return one_of(Member::items);
    case 6: return one_of(Member::amount, Member::txn_id, Member::reason);
    case 7: return one_of(Member::user_id, Member::message, Member::ship_to, Member::contact);
    case 8: return one_of(Member::order_id, Member::quantity, Member::currency, Member::occasion, Member::metadata);
    case 10: return one_of(Member::product_id);
    case 11: return one_of(Member::tracking_id);
    case 12: return one_of(Member::amount_minor);
    case 13: return one_of(Member::payment_token);
    default: return Member::other;
  }
}

// What a topic makes of the members: needed ones must be there; strict ones, if there, must be right; lenient ones are
// ours, not the contract's table's, and count as extra fields when they are of another type.
struct Plan {
  Members needed = 0, strict = 0, lenient = 0;
};

Plan plan_of(const TopicInfo& row) {
  Plan plan;
  plan.needed = bit_of(Member::order_id);
  auto needs = [&](Field field, Members members) { plan.needed |= (row.needs & field) != 0 ? members : 0; };
  needs(Field::lines, bit_of(Member::product_id) | bit_of(Member::quantity));
  needs(Field::user, bit_of(Member::user_id));
  needs(Field::amount, bit_of(Member::amount));
  needs(Field::txn, bit_of(Member::txn_id));
  needs(Field::tracking, bit_of(Member::tracking_id));
  needs(Field::message, bit_of(Member::message));
  needs(Field::reason, bit_of(Member::reason));
  plan.strict = plan.needed;
  if ((row.needs & Field::lines) != 0) plan.strict |= bit_of(Member::items);
  switch (row.topic) {
    case Topic::order_placed: plan.lenient = bit_of(Member::payment_token); break;
    case Topic::inventory_reserved:
      plan.strict |= bit_of(Member::amount_minor);
      plan.lenient = bit_of(Member::currency);
      break;
    case Topic::inventory_failed: plan.lenient = bit_of(Member::reason); break;
    case Topic::payment_initiated: plan.lenient = bit_of(Member::currency) | bit_of(Member::payment_token); break;
    case Topic::notification_send: plan.lenient = bit_of(Member::occasion); break;
    case Topic::payment_refund_requested: plan.strict |= bit_of(Member::txn_id); break;
    default: break;
  }
  return plan;
}

const Plan& plan_of(Topic topic) {
  static const std::array<Plan, topic_count> plans = [] {
    std::array<Plan, topic_count> all;
    for (const TopicInfo& row : topics()) all[static_cast<std::size_t>(row.topic)] = plan_of(row);
    return all;
  }();
  return plans[static_cast<std::size_t>(topic)];
}

std::string not_json(std::string_view text, std::size_t at) {
  std::size_t bad = not_utf8_at(text);
  if (bad != std::string_view::npos) return "not-utf8: offset " + std::to_string(bad);
  return "not-json: offset " + std::to_string(at);
}

// nlohmann takes a NUL for the end of its input, whatever follows. JSON text has none.
std::size_t nul_at(std::string_view text) {
  const void* nul = text.empty() ? nullptr : std::memchr(text.data(), 0, text.size());
  return nul == nullptr ? std::string_view::npos :
      static_cast<std::size_t>(static_cast<const char*>(nul) - text.data());
}

// Sorts `keys` and answers one that is there twice; nullptr: none.
const std::string* repeated(std::vector<std::string>& keys) {
  std::sort(keys.begin(), keys.end());
  auto found = std::adjacent_find(keys.begin(), keys.end());
  return found == keys.end() ? nullptr : &*found;
}

// One value that is not a container, or the opening of one.
struct Value {
  enum class Kind : std::uint8_t { text, integer, huge, other } kind = Kind::other;
  std::int64_t number = 0;
  std::string_view text;
};

// The SAX handler. Depth 1 are the payload's members, 2 the items, 3 an item's members. The first fault is kept, and
// reading goes on, because a text that is no JSON at all shall be called so.
class PayloadReader {
 public:
  PayloadReader(Topic topic, Event& event) : plan_(plan_of(topic)), event_(event) {}

  bool null() { return take({}); }
  bool boolean(bool) { return take({}); }
  bool number_integer(std::int64_t number) { return take({Value::Kind::integer, number, {}}); }
  bool number_unsigned(std::uint64_t number) {
    constexpr std::uint64_t most = INT64_MAX;
    if (number > most) return take({Value::Kind::huge, 0, {}});
    return take({Value::Kind::integer, static_cast<std::int64_t>(number), {}});
  }
  bool number_float(double, const std::string& spelled) {
    // Integers beyond 64 bits come this way too.
    bool integer = spelled.find_first_of(".eE") == std::string::npos;
    return take({integer ? Value::Kind::huge : Value::Kind::other, 0, {}});
  }
  bool string(std::string& text) { return take({Value::Kind::text, 0, text}); }
  bool binary(Json::binary_t&) { return false; }  // never in text

  bool start_object(std::size_t) { return open(true); }
  bool start_array(std::size_t) { return open(false); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (depth_ == 1) {
      ++members_;
      at_ = note(name, seen_, others_);
      if ((opaque & bit_of(at_)) != 0) opaque_at_[opaque_count_++ % opaque_at_.size()] = {at_, members_ - 1};
    } else if (in_item_ && depth_ == 3) {
      item_at_ = note(name, item_seen_, item_others_);
    } else if (depth_ >= 2) {
      deeper_[at_depth()].push_back(name);
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    constexpr int number_overflow = 406;
    overflow_ = error.id == number_overflow;
    broken_at_ = position;
    return false;
  }

  [[nodiscard]] bool overflow() const { return overflow_; }
  [[nodiscard]] bool too_deep() const { return too_deep_; }
  [[nodiscard]] std::size_t broken_at() const { return broken_at_; }

  // After the whole text was read: what is missing, and what spans members. Answers the cause.
  std::string finish(std::string_view text) {
    if (cause_.empty()) {
      if (const std::string* key = repeated(others_)) fail("duplicate-key", shown(*key));
    }
    for (std::size_t k = 0; cause_.empty() && k < names.size(); ++k)
      if ((plan_.needed & ~seen_ & (1u << k)) != 0) fail("missing", names[k]);
    if (!cause_.empty()) return std::move(cause_);
    if ((plan_.strict & seen_ & bit_of(Member::items)) != 0)
      event_.itemised = true;
    else if ((plan_.needed & bit_of(Member::product_id)) != 0)
      event_.lines.push_back(std::move(line_));
    if (opaque_count_ > 0) keep_opaque(text);
    return std::move(cause_);
  }

 private:
  void fail(std::string_view what, std::string_view which) {
    if (!cause_.empty()) return;
    cause_ = what;
    if (which.empty()) return;
    cause_ += ": ";
    if (in_item_) cause_ += "items[" + std::to_string(items_ - 1) + "].";
    cause_ += which;
  }

  // Which member a key names; the second of its name is a fault. Names that are not ours are compared at the end.
  Member note(const std::string& name, Members& seen, std::vector<std::string>& others) {
    Member member = member_named(name);
    if (member == Member::other) {
      others.push_back(name);
    } else {
      if ((seen & bit_of(member)) != 0) fail("duplicate-key", name);
      seen |= bit_of(member);
    }
    return member;
  }

  bool open(bool object) {
    if (depth_ == limits::json_depth_max) {
      too_deep_ = true;
      return false;
    }
    if (depth_ == 0) {
      if (!object) fail("not-an-object", "");
    } else if (depth_ == 1 && !object && (plan_.strict & bit_of(at_)) != 0 && at_ == Member::items) {
      in_items_ = true;
      event_.lines.clear();
    } else if (depth_ == 2 && in_items_ && object) {
      ++items_;
      in_item_ = true;
      item_seen_ = 0;
      item_others_.clear();
      line_of_item_ = {};
    } else {
      take({});
    }
    ++depth_;
    if (depth_ < 2) return true;  // most payloads are flat
    if (deeper_.size() <= at_depth()) deeper_.resize(at_depth() + 1);
    deeper_[at_depth()].clear();
    return true;
  }

  bool close() {
    if (depth_ >= 2)
      if (const std::string* name = repeated(deeper_[at_depth()])) fail("duplicate-key", shown(*name));
    --depth_;
    if (in_item_ && depth_ == 2) close_item();
    if (in_items_ && depth_ == 1) {
      in_items_ = false;
      if (items_ == 0 || items_ > limits::items_max) fail("out-of-bounds", "items");
    }
    return true;
  }

  [[nodiscard]] std::size_t at_depth() const { return static_cast<std::size_t>(depth_); }

  void close_item() {
    if (const std::string* name = repeated(item_others_)) fail("duplicate-key", shown(*name));
    for (Member member : {Member::product_id, Member::quantity})
      if ((item_seen_ & bit_of(member)) == 0) fail("missing", name_of(member));
    in_item_ = false;
    // Too many are counted, not kept.
    if (items_ <= limits::items_max) event_.lines.push_back(std::move(line_of_item_));
  }

  bool take(const Value& value) {
    if (depth_ == 1) {
      if (((plan_.strict | plan_.lenient) & bit_of(at_)) != 0) take_member(value);
    } else if (in_item_ && depth_ == 3) {
      if (item_at_ == Member::product_id) id(item_at_, value, line_of_item_.product.value);
      if (item_at_ == Member::quantity) integer(item_at_, value, 1, limits::quantity_max, line_of_item_.quantity);
    } else if (in_items_ && depth_ == 2) {
      ++items_;
      fail("wrong-type", "items[" + std::to_string(items_ - 1) + "]");
    } else if (depth_ == 0) {
      fail("not-an-object", "");
    }
    return true;
  }

  void take_member(const Value& value) {
    if ((plan_.lenient & bit_of(at_)) != 0 && value.kind != Value::Kind::text) return;
    std::int64_t minor = 0;
    switch (at_) {
      case Member::order_id: return id(at_, value, event_.order.value);
      case Member::product_id: return text(at_, value, line_.product.value);
      case Member::quantity: integer(at_, value, 1, limits::quantity_max, line_.quantity); return;
      case Member::user_id: return text(at_, value, event_.user.value);
      case Member::amount:
      case Member::amount_minor:
        if (integer(at_, value, 0, limits::amount_max, minor)) event_.amount = minor;
        return;
      case Member::txn_id: return text(at_, value, event_.txn.value);
      case Member::tracking_id: return text(at_, value, event_.tracking.value);
      case Member::message: return text(at_, value, event_.message);
      case Member::reason: return text(at_, value, event_.reason);
      case Member::payment_token: return text(at_, value, event_.payment_token);
      case Member::currency: return text(at_, value, event_.currency);
      case Member::occasion:
        // It becomes part of a row's key, where a control character has no business.
        if (std::none_of(value.text.begin(), value.text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f;
            }))
          text(at_, value, event_.occasion);
        return;
      case Member::items: return fail("wrong-type", name_of(at_));
      default: return;
    }
  }

  void id(Member member, const Value& value, std::string& into) {
    if (value.kind != Value::Kind::text) return fail("wrong-type", name_of(member));
    if (!valid_id(value.text)) return fail("out-of-bounds", name_of(member));
    into.assign(value.text);
  }

  void text(Member member, const Value& value, std::string& into) {
    if (value.kind != Value::Kind::text) return fail("wrong-type", name_of(member));
    if (value.text.size() > limits::text_bytes_max) return fail("text-too-long", name_of(member));
    into.assign(value.text);
  }

  bool integer(Member member, const Value& value, std::int64_t least, std::int64_t most, std::int64_t& into) {
    if (value.kind != Value::Kind::integer && value.kind != Value::Kind::huge) {
      fail("wrong-type", name_of(member));
      return false;
    }
    if (value.kind == Value::Kind::huge || value.number < least || value.number > most) {
      fail("out-of-bounds", name_of(member));
      return false;
    }
    into = value.number;
    return true;
  }

  // SAX says nothing about positions: the slices are found by counting members in a second, rare look at the text.
  void keep_opaque(std::string_view text) {
    const std::vector<RawMember> all = raw_members(text);
    std::size_t bytes = 0;
    for (std::size_t k = 0; k < opaque_count_; ++k) {
      auto [member, index] = opaque_at_[k];
      const std::size_t before = event_.extras.size(), bytes_before = bytes;
      if (!event_.extras.empty()) event_.extras += ',';
      event_.extras += '"';
      event_.extras += name_of(member);
      event_.extras += "\":";
      std::size_t begin = event_.extras.size();
      append_compact(event_.extras, all[index].value);
      bytes += event_.extras.size() - begin;
      // Extra fields are no reason to refuse a record; what is larger than we pass on is left out.
      if (bytes > limits::opaque_bytes_max) {
        event_.extras.resize(before);
        bytes = bytes_before;
      }
    }
  }

  const Plan& plan_;
  Event& event_;
  std::string cause_;
  int depth_ = 0;
  Member at_ = Member::other, item_at_ = Member::other;
  bool in_items_ = false, in_item_ = false, overflow_ = false, too_deep_ = false;
  Members seen_ = 0, item_seen_ = 0;
  std::size_t members_ = 0, items_ = 0, broken_at_ = 0;
  Line line_, line_of_item_;
  std::vector<std::string> others_, item_others_;
  std::vector<std::vector<std::string>> deeper_;  // keys of the open objects of extra fields, by depth
  struct OpaqueAt {
    Member member = Member::other;
    std::size_t index = 0;
  };
  std::array<OpaqueAt, 3> opaque_at_;
  std::size_t opaque_count_ = 0;
};

bool parse(std::string_view text, PayloadReader& reader) {
  return Json::sax_parse(text.data(), text.data() + text.size(), &reader);
}

}  // namespace

std::string read_payload(std::string_view text, Topic topic, Event& event) {
  if (std::size_t nul = nul_at(text); nul != std::string_view::npos) return not_json(text, nul);
  PayloadReader reader(topic, event);
  if (parse(text, reader)) return reader.finish(text);
  if (reader.too_deep()) return "too-deep";
  if (!reader.overflow()) return not_json(text, reader.broken_at());
  event.lines.clear();
  PayloadReader again(topic, event);
  if (parse(with_tame_numbers(text), again)) return again.finish(text);
  return again.too_deep() ? "too-deep" : not_json(text, again.broken_at());
}

std::string read_envelope(std::string_view text, Envelope& envelope) {
  if (std::size_t nul = nul_at(text); nul != std::string_view::npos) return not_json(text, nul);
  if (!Json::accept(with_tame_numbers(text))) return not_json(text, 0);
  if (text.find_first_not_of("\xef\xbb\xbf \t\r\n") != text.find('{')) return "not-an-object";
  std::vector<std::string> spelled;
  // The values are JSON strings for certain once they begin with a quote.
  auto take = [](std::string_view value) {
    return value.starts_with('"') ? Json::parse(value.begin(), value.end()).get<std::string>() : std::string();
  };
  for (const auto& [name, value] : raw_members(text)) {
    spelled.emplace_back(name);
    if (name == "id") envelope.id = take(value);
    if (name == "time") envelope.time = take(value);
    if (name == "source") envelope.source = take(value);
    if (name == "traceparent") envelope.traceparent = take(value);
    if (name == "data") envelope.data = value;
  }
  if (const std::string* name = repeated(spelled)) return "duplicate-key: " + shown(*name);
  if (envelope.data.empty()) return "missing: data";
  return {};
}

bool is_structured(std::string_view value, Topic topic) {
  // Cheap first: an envelope without this spelling is not read as one.
  if (value.find("\"data\"") == std::string_view::npos) return false;
  Event scratch;
  return !read_payload(value, topic, scratch).empty();
}

}  // namespace cartwright::json
