#include "bridges/notices/templates.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bridges/curl/answers.hpp"

namespace cartwright::notices {
namespace {

constexpr std::array<std::string_view, 5> known{"name", "order_id", "occasion", "channel", "text"};
constexpr std::string_view suffix = ".txt", subject = "Subject:";
constexpr std::size_t template_bytes_max = 64 * 1024;

/// Calls `plain` for the text between the braces' pairs and `value` for the names in them; false: a pair does not close.
template <class Plain, class Value>
bool walk(std::string_view text, Plain plain, Value value) {
  for (std::size_t from = 0;;) {
    const auto open = text.find("{{", from);
    plain(text.substr(from, open == std::string_view::npos ? open : open - from));
    if (open == std::string_view::npos) return true;
    const auto close = text.find("}}", open);
    if (close == std::string_view::npos) return false;
    std::string_view name = text.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    value(name);
    from = close + 2;
  }
}

std::string fault_of(std::string_view text) {
  std::string fault;
  const bool closed = walk(text, [](std::string_view) {}, [&](std::string_view name) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      fault = "has the unknown {{" + std::string(name) + "}}: there are name, order_id, occasion, channel, text";
  });
  return closed ? fault : "has a {{ without its }}";
}

std::string filled(std::string_view text, const Values& values) {
  std::string out;
  (void)walk(text, [&](std::string_view plain) { out += plain; },
             [&](std::string_view name) {
               if (auto found = values.find(name); found != values.end()) out += found->second;
             });
  return out;
}

}  // namespace

Templates::Templates() {
  for (const TemplateFile& file : template_files())
    if (std::string fault = add(std::string(file.name), file.text); !fault.empty())
      throw std::logic_error("the built-in template " + std::string(file.name) + " " + fault);
}

std::string Templates::add(const std::string& file, std::string_view text) {
  if (!file.ends_with(suffix) || file.size() == suffix.size()) return "is not called OCCASION.txt";
  if (text.size() > template_bytes_max) return "is longer than " + std::to_string(template_bytes_max) + " bytes";
  if (!text.starts_with(subject)) return "does not begin with a line `Subject: ...`";
  const auto end = text.find('\n');
  std::string_view first = text.substr(subject.size(), end == std::string_view::npos ? end : end - subject.size());
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (rest.starts_with('\r')) rest.remove_prefix(1);
  if (rest.starts_with('\n')) rest.remove_prefix(1);
  while (first.starts_with(' ')) first.remove_prefix(1);
  while (first.ends_with('\r') || first.ends_with(' ')) first.remove_suffix(1);
  for (std::string_view part : {first, rest})
    if (std::string fault = fault_of(part); !fault.empty()) return fault;
  letters_[file.substr(0, file.size() - suffix.size())] = {std::string(first), std::string(rest)};
  return {};
}

std::string Templates::load(const std::string& directory) {
  std::error_code error;
  std::filesystem::directory_iterator files(directory, error);
  if (error) return directory + " cannot be read: " + error.message();
  for (const auto& entry : files) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(suffix)) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return entry.path().string() + " cannot be read";
    if (std::string fault = add(name, text.str()); !fault.empty()) return entry.path().string() + " " + fault;
  }
  return {};
}

Letter Templates::render(std::string_view occasion, std::string_view channel, const Values& values) const {
  const std::string plain(occasion.substr(0, occasion.find(':'))), dotted = "." + std::string(channel);
  for (const std::string& name : {plain + dotted, "default" + dotted, plain, std::string("default")})
    if (auto found = letters_.find(name); found != letters_.end())
      return {curl::one_line(filled(found->second.subject, values)), filled(found->second.text, values)};
  return {"", ""};  // cannot be: default is built in
}

}  // namespace cartwright::notices
