#pragma once
// What a customer is told, and where: the contact of an order, and the message as it leaves for a channel. Pure.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "bridges/curl/client.hpp"

namespace cartwright::notices {

/// The members of an order's opaque `contact` that are read; "" where missing, no text, or of no use as an address.
struct Contact {
  std::string email;       // name@host, visible ASCII, at most 254 bytes
  std::string phone;       // 3 to 32 of 0-9, +, -, (, ), ., /, blank
  std::string push_token;  // what the push service knows the device by, visible ASCII, at most 1024 bytes
  std::string name;        // for templates

  /// The address for a channel; "": the customer has none there.
  [[nodiscard]] const std::string& address(std::string_view channel) const;
};

/// `extras`: the opaque members of an event, without braces, as Act has them.
[[nodiscard]] Contact read_contact(std::string_view extras);

/// One message to one address.
struct Message {
  std::string key;  // the effect's; the same for every repetition
  std::string channel, to, order, occasion, subject, text;
};

/// A way out of the program: how a message becomes an exchange, and what its end means.
struct Channel {
  std::shared_ptr<curl::Lane> lane;
  std::function<curl::Request(const Message&)> ask;
  std::function<Answer(const curl::Response&)> hear;
};

}  // namespace cartwright::notices
