#pragma once
// How rows of the table are made. Internal to the folder.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "app/options/options.hpp"
#include "app/options/text.hpp"

namespace cartwright::options {

using TextCheck = std::string (*)(const std::string&);

inline Option text_option(std::string name, std::vector<std::string> environment, std::string fallback, std::string help,
                   std::string Options::*member, TextCheck fault, bool secret = false) {
  Option row{std::move(name), std::move(environment), Kind::text, std::move(fallback)};
  row.help = std::move(help);
  row.secret = secret;
  row.set = [member, fault](Options& options, const std::string& text) {
    options.*member = text;
    return fault == nullptr ? std::string() : fault(text);
  };
  return row;
}

inline std::string outside(std::int64_t value, std::int64_t least, std::int64_t most,
                    const std::function<std::string(std::int64_t)>& spell) {
  if (value >= least && value <= most) return {};
  return "is outside " + spell(least) + " to " + spell(most);
}

template <class Assign>
Option duration_option(std::string name, std::int64_t fallback, std::int64_t least, std::int64_t most, std::string help,
                       Assign assign) {
  Option row{std::move(name), {}, Kind::duration, spell_duration(fallback), least, most};
  row.help = std::move(help);
  row.set = [=](Options& options, const std::string& text) {
    Read read = duration(text);
    if (!read.fault.empty()) return read.fault;
    assign(options, read.value);
    return outside(read.value, least, most, spell_duration);
  };
  return row;
}

template <class Assign>
Option number_option(std::string name, std::int64_t fallback, std::int64_t least, std::int64_t most, std::string help,
                     Assign assign) {
  Option row{std::move(name), {}, Kind::number, std::to_string(fallback), least, most};
  row.help = std::move(help);
  row.set = [=](Options& options, const std::string& text) {
    Read read = number(text);
    if (!read.fault.empty()) return read.fault;
    assign(options, read.value);
    return outside(read.value, least, most, [](std::int64_t value) { return std::to_string(value); });
  };
  return row;
}

inline Option choice_option(std::string name, std::vector<std::string> choices, std::string fallback, std::string help,
                     std::string Options::*member) {
  Option row{std::move(name), {}, Kind::choice, std::move(fallback)};
  row.choices = choices;
  row.help = std::move(help);
  row.set = [=](Options& options, const std::string& text) {
    options.*member = lower(text);
    if (std::find(choices.begin(), choices.end(), lower(text)) != choices.end()) return std::string();
    std::string meant = nearest(text, choices), all;
    for (const std::string& one : choices) all += (all.empty() ? "" : ", ") + one;
    return "is none of " + all + (meant.empty() ? "" : ": did you mean " + meant + "?");
  };
  return row;
}

inline Option settings_duration(std::string name, std::int64_t fallback, std::int64_t least, std::int64_t most,
                         std::string help, std::int64_t Settings::*member) {
  return duration_option(std::move(name), fallback, least, most, std::move(help),
                         [member](Options& options, std::int64_t value) { options.settings.*member = value; });
}

/// The rows of what lies outside: gateway, carrier, mail server, webhooks (port_options.cpp).
void add_ports(std::vector<Option>& rows);

}  // namespace cartwright::options
