// The rows of what lies outside: gateway, carrier, mail server, webhooks.
#include "app/options/rows.hpp"

namespace cartwright::options {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

std::string fault_of_url(const std::string& text, std::string_view plain, std::string_view encrypted) {
  if (text.empty()) return {};
  const bool known = text.starts_with(plain) || text.starts_with(encrypted);
  const auto host = text.find("://");
  const bool visible = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (known && visible && text.size() > host + 3 && text[host + 3] != '/') return {};
  return "is no address: write " + std::string(plain) + "host[:port] or " + std::string(encrypted) + "host[:port]";
}

/// `get` finds the member that takes the URL; a / at its end is left out.
template <class Get>
Option url_option(std::string name, std::string help, std::string plain, std::string encrypted, Get get) {
  Option row{std::move(name), {}, Kind::text, ""};
  row.help = std::move(help);
  row.secret = true;
  row.set = [=](Options& options, const std::string& text) {
    std::string& url = get(options);
    url = text;
    while (url.ends_with('/') && !url.ends_with("://")) url.pop_back();
    return fault_of_url(text, plain, encrypted);
  };
  return row;
}

/// The secret itself and the file that holds it.
template <class Assign>
void add_secret(std::vector<Option>& rows, const std::string& name, const std::string& help, Assign assign) {
  Option secret{name, {}, Kind::secret, ""};
  secret.help = help + " Keep it in the environment, or in a file.";
  secret.secret = true;
  secret.set = [assign](Options& options, const std::string& text) -> std::string {
    if (!std::all_of(text.begin(), text.end(), [](char c) { return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r'; }))
      return "has letters that are not visible ASCII";
    return assign(options, text);
  };
  rows.push_back(std::move(secret));
  Option file{name + "-file", {}, Kind::text, ""};
  file.help = "A file that holds " + name + ".";
  file.set = [](Options&, const std::string&) { return std::string(); };
  rows.push_back(std::move(file));
}

/// One secret, without blanks.
template <class Get>
auto single(Get get) {
  return [get](Options& options, const std::string& text) -> std::string {
    get(options) = text;
    return text.find_first_of(" \r\n") == std::string::npos ? "" : "holds a blank or more than one line";
  };
}

template <class Get>
void add_outside(std::vector<Option>& rows, const std::string& section, const std::string& who, Get get) {
  rows.push_back(url_option(section + ".url",
                            "The " + who + ", https://host/path; without it a simulated one plays its part.", "http://",
                            "https://", [get](Options& o) -> std::string& { return get(o).url; }));
  add_secret(rows, section + ".key", "The bearer token that the " + who + " knows us by.",
             single([get](Options& o) -> std::string& { return get(o).key; }));
  rows.push_back(duration_option(section + ".timeout", 10 * second, 100, 5 * minute,
                                 "How long one question to the " + who + " may take; then its outcome is unknown.",
                                 [get](Options& o, std::int64_t value) { get(o).timeout = milliseconds(value); }));
  rows.push_back(number_option(
      section + ".connections", 16, 1, 1000, "Questions to the " + who + " at once; more wait.",
      [get](Options& o, std::int64_t value) { get(o).connections = static_cast<std::size_t>(value); }));
  add_secret(rows, section + ".callback-secret",
             "Signs what the " + who + " tells by itself at POST /v1/callbacks/" + section +
                 "; without it there are no callbacks. Two, separated by a blank, while one is being replaced.",
             [get](Options& o, const std::string& text) -> std::string {
               std::string blanks = text;
               std::replace_if(
                   blanks.begin(), blanks.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
               get(o).callback_secrets = split(blanks, ' ');
               for (const std::string& one : get(o).callback_secrets)
                 if (one.size() < 16) return "is shorter than 16 letters: take 32 random ones";
               return {};
             });
}

void add_notices(std::vector<Option>& rows) {
  Option channel{"notification.channel", {}, Kind::text, "email"};
  channel.help =
      "The channels that notices are sent by, separated by commas: email, sms, push. One without a server of its own "
      "(smtp.url, notification.sms-url, notification.push-url) is simulated: the notice in the store is all of it.";
  channel.set = [](Options& options, const std::string& text) -> std::string {
    const std::vector<std::string> known{"email", "sms", "push"};
    options.settings.channels.clear();
    for (const std::string& name : split(text, ',')) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const std::string meant = nearest(name, known);
        return "has the unknown channel " + name + (meant.empty() ? ": there are email, sms, push" : ": did you mean " + meant + "?");
      }
      const NoticeChannel one{name, false};
      if (std::find(options.settings.channels.begin(), options.settings.channels.end(), one) != options.settings.channels.end())
        return "has the channel " + name + " twice";
      options.settings.channels.push_back(one);
    }
    return options.settings.channels.empty() ? "names no channel" : "";
  };
  rows.push_back(std::move(channel));
  rows.push_back(settings_duration("notification.ttl", 24 * hour, 1 * second, 30 * day,
                                   "A notice that could not be sent for so long is given up.", &Settings::notice_ttl));
  Option templates{"notification.templates", {}, Kind::text, ""};
  templates.help = "A directory of templates that are stronger than those in config/notices.";
  templates.set = [](Options& o, const std::string& text) {
    o.notices.templates = text;
    return std::string();
  };
  rows.push_back(std::move(templates));
  auto rate = [&rows](const std::string& name, std::int64_t fallback, std::int64_t Notices::*member) {
    rows.push_back(number_option("notification." + name + "-rate", fallback, 0, 100'000,
                                 "Notices a second by " + name + " at most, on the average; 0 is without a limit.",
                                 [member](Options& o, std::int64_t value) { o.notices.*member = value; }));
  };
  rate("email", 50, &Notices::email_rate);
  rate("sms", 10, &Notices::sms_rate);
  rate("push", 100, &Notices::push_rate);
  auto hook = [&rows](const std::string& name, std::string Notices::*member) {
    rows.push_back(url_option("notification." + name + "-url", "The webhook that sends notices by " + name + ".", "http://",
                              "https://", [member](Options& o) -> std::string& { return o.notices.*member; }));
  };
  hook("sms", &Notices::sms_url);
  hook("push", &Notices::push_url);
  add_secret(rows, "notification.webhook-key", "The bearer token that the webhooks know us by.",
             single([](Options& o) -> std::string& { return o.notices.webhook_key; }));
  add_secret(rows, "notification.webhook-secret", "Signs what goes to the webhooks, as callbacks are signed.",
             single([](Options& o) -> std::string& { return o.notices.webhook_secret; }));
  rows.push_back(duration_option("notification.timeout", 15 * second, 100, 5 * minute,
                                 "How long sending one notice may take; then it is tried again.",
                                 [](Options& o, std::int64_t value) { o.notices.timeout = milliseconds(value); }));
  rows.push_back(number_option(
      "notification.connections", 8, 1, 1000, "Notices on their way at once, by each channel.",
      [](Options& o, std::int64_t value) { o.notices.connections = static_cast<std::size_t>(value); }));
}

void add_smtp(std::vector<Option>& rows) {
  rows.push_back(url_option("smtp.url",
                            "The mail server, smtp://host:587 (STARTTLS; a must where there is a password and the server is "
                            "not on this machine) or smtps://host:465; without it e-mail is simulated.",
                            "smtp://", "smtps://", [](Options& o) -> std::string& { return o.notices.smtp_url; }));
  Option from{"smtp.from", {}, Kind::text, ""};
  from.help = "The sender's address.";
  from.set = [](Options& o, const std::string& text) -> std::string {
    o.notices.from = text;
    const auto at = text.find('@');
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '<' && c != '>'; });
    return text.empty() || (plain && at != 0 && at != std::string::npos && at + 1 < text.size()) ? "" : "is no address: write name@host";
  };
  rows.push_back(std::move(from));
  Option user{"smtp.user", {}, Kind::text, ""};
  user.help = "The login at the mail server; empty for none.";
  user.set = [](Options& o, const std::string& text) {
    o.notices.user = text;
    return std::string();
  };
  rows.push_back(std::move(user));
  add_secret(rows, "smtp.password", "The password at the mail server.",
             [](Options& o, const std::string& text) -> std::string {
               o.notices.password = text;
               return text.find_first_of("\r\n") == std::string::npos ? "" : "holds more than one line";
             });
}

}  // namespace

void add_ports(std::vector<Option>& rows) {
  add_outside(rows, "payment", "payment gateway", [](Options& o) -> Outside& { return o.gateway; });
  rows.push_back(settings_duration(
      "payment.key-ttl", 24 * hour, 1 * second, 30 * day,
      "How long the gateway remembers an Idempotency-Key, less a margin: after that a charge is only asked about, and a "
      "person has to look when the gateway does not know it any more.",
      &Settings::key_ttl));
  add_outside(rows, "shipping", "carrier", [](Options& o) -> Outside& { return o.carrier; });
  add_notices(rows);
  add_smtp(rows);
  rows.push_back(text_option("outside.ca-file", {}, "",
                             "A PEM file of the authorities whose certificates the gateway, the carrier, the webhooks and the mail server "
                             "may show; without it those that the system trusts.",
                             &Options::outside_ca_file, nullptr));
}

}  // namespace cartwright::options
