// From files, variables and flags to checked options.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "app/options/options.hpp"
#include "app/options/text.hpp"

namespace cartwright::options {
namespace {

constexpr std::string_view properties = "kafka.properties.";
constexpr std::string_view properties_variable = "CARTWRIGHT_KAFKA_PROPERTIES_";
constexpr std::string_view default_file = "cartwright.conf";

// Variables of ours that are no options: the command line's, the tests', and what Kubernetes makes of a service's name.
bool is_no_option(std::string_view variable) {
  for (std::string_view name : {"CARTWRIGHT_URL", "CARTWRIGHT_TOKEN", "CARTWRIGHT_CONFIG", "CARTWRIGHT_PROGRAM"})
    if (variable == name) return true;
  for (std::string_view prefix : {"CARTWRIGHT_TEST_", "CARTWRIGHT_KEEP_", "CARTWRIGHT_PORT", "CARTWRIGHT_SERVICE_"})
    if (variable.starts_with(prefix)) return true;
  return false;
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const Option& row : table()) names.push_back(row.name);
  return names;
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names, std::string_view before = "") {
  std::string meant = nearest(wrong, names);
  return meant.empty() ? "" : "; did you mean " + std::string(before) + meant + "?";
}

struct Line {
  int number = 0;
  std::string name, value;
  std::string fault;
};

// `"a # b"`, or bare up to ` #`.
std::string unquoted(std::string_view text, std::string& fault) {
  if (text.starts_with('"') || text.starts_with('\'')) {
    auto end = text.find(text[0], 1);
    auto rest = end == std::string_view::npos ? std::string_view() : trimmed(text.substr(end + 1));
    if (end == std::string_view::npos || (!rest.empty() && rest[0] != '#')) {
      fault = "has a quote that does not end";
      return {};
    }
    return std::string(text.substr(1, end - 1));
  }
  for (std::size_t at = text.find('#'); at != std::string_view::npos; at = text.find('#', at + 1))
    if (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\t') return std::string(trimmed(text.substr(0, at)));
  return std::string(text);
}

/// The lines that say something. `sections`: `[kafka]` goes before the names below it; else `export` may stand first.
std::vector<Line> lines_of(const std::string& text, bool sections) {
  std::vector<Line> lines;
  std::string section;
  int number = 0;
  std::istringstream in(text);
  for (std::string raw; std::getline(in, raw);) {
    ++number;
    if (number == 1 && raw.starts_with("\xef\xbb\xbf")) raw.erase(0, 3);  // editors of Windows
    std::string_view line = trimmed(raw);
    if (line.empty() || line[0] == '#' || (sections && line[0] == ';')) continue;
    if (sections && line[0] == '[') {
      auto end = line.find(']');
      if (end == std::string_view::npos) {
        lines.push_back({number, "", "", "the section does not end with ]"});
        continue;
      }
      section = trimmed(line.substr(1, end - 1));
      if (!section.empty()) section += '.';
      continue;
    }
    if (!sections && line.starts_with("export ")) line = trimmed(line.substr(7));
    auto equals = line.find('=');
    if (equals == std::string_view::npos || trimmed(line.substr(0, equals)).empty()) {
      lines.push_back({number, "", "", "is not `name = value`"});
      continue;
    }
    Line one{number, section + std::string(trimmed(line.substr(0, equals))), "", ""};
    one.value = unquoted(trimmed(line.substr(equals + 1)), one.fault);
    lines.push_back(std::move(one));
  }
  return lines;
}

class Loader {
 public:
  explicit Loader(const Sources& sources) : sources_(sources) {
    for (const Option& row : table()) values_[row.name] = {row.fallback, "default"};
  }

  Result run() {
    auto flags = read_flags();
    read_conf();
    read_dot_env();
    read_variables(
        sources_.environment, [](const std::string& name) { return name; }, true);
    for (auto& [name, given] : flags) values_[name] = std::move(given);
    Options options;
    apply(options);
    read_secret_files(options);
    if (errors_.empty()) relate(options);
    Result result{{}, std::move(errors_), std::move(warnings_)};
    if (result.errors.empty()) {
      options.given = std::move(values_);
      result.options = std::move(options);
    }
    return result;
  }

 private:
  using Values = std::map<std::string, Given>;

  [[nodiscard]] static bool known(const std::string& name) {
    if (name.starts_with(properties)) return name.size() > properties.size();
    return std::any_of(table().begin(), table().end(), [&](const Option& row) { return row.name == name; });
  }

  void unknown(const std::string& where, const std::string& name, std::string_view before = "") {
    errors_.push_back(where + ": unknown option " + std::string(before) + name +
                      did_you_mean(name, option_names(), before));
  }

  Values read_flags() {
    Values flags;
    const auto& all = sources_.flags;
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::string name = all[i], value;
      if (!name.starts_with("--")) {
        errors_.push_back("the argument " + name + " belongs to no option");
        continue;
      }
      name.erase(0, 2);
      if (auto equals = name.find('='); equals != std::string::npos) {
        value = name.substr(equals + 1);
        name.erase(equals);
      } else if (i + 1 < all.size() && !all[i + 1].starts_with("--")) {
        value = all[++i];
      } else if (name == "log.records") {
        value = "true";
      } else {
        if (name != "config" && !known(name))
          unknown("the command line", name, "--");
        else
          errors_.push_back("--" + name + ": a value is missing: --" + name + "=VALUE");
        continue;
      }
      if (name == "config")
        config_ = value;
      else if (known(name))
        flags[name] = {value, "--" + name};
      else
        unknown("the command line", name, "--");
    }
    return flags;
  }

  void read_conf() {
    std::string path(default_file), asked_by;
    if (auto at = sources_.environment.find("CARTWRIGHT_CONFIG");
        at != sources_.environment.end() && !at->second.empty()) {
      path = at->second;
      asked_by = "CARTWRIGHT_CONFIG";
    }
    if (config_) {
      path = *config_;
      asked_by = "--config";
    }
    auto text = sources_.read_file ? sources_.read_file(path) : std::nullopt;
    if (!text) {
      if (!asked_by.empty()) errors_.push_back(asked_by + ": the file " + path + " cannot be read");
      return;
    }
    std::map<std::string, int> seen;
    for (Line& line : lines_of(*text, true)) {
      std::string where = path + ":" + std::to_string(line.number);
      if (!line.fault.empty()) {
        errors_.push_back(where + ": " + (line.name.empty() ? "" : line.name + " ") + line.fault);
      } else if (!known(line.name)) {
        unknown(where, line.name);
      } else if (auto [at, fresh] = seen.emplace(line.name, line.number); !fresh) {
        errors_.push_back(where + ": " + line.name + " has been set already, in line " + std::to_string(at->second));
      } else {
        values_[line.name] = {std::move(line.value), where};
      }
    }
  }

  void read_dot_env() {
    auto text = sources_.read_file ? sources_.read_file(".env") : std::nullopt;
    if (!text) return;
    std::map<std::string, std::string> variables;
    std::map<std::string, int> numbers;
    for (Line& line : lines_of(*text, false)) {
      // The file may belong to other programs as well: only what is ours has to be right.
      if (!line.fault.empty()) {
        warnings_.push_back(".env:" + std::to_string(line.number) + ": " + (line.name.empty() ? "" : line.name + " ") +
                            line.fault);
        continue;
      }
      numbers[line.name] = line.number;
      variables[line.name] = std::move(line.value);
    }
    read_variables(
        variables, [&](const std::string& name) { return ".env:" + std::to_string(numbers.at(name)) + " " + name; },
        false);
  }

  template <class Where>
  void read_variables(const std::map<std::string, std::string>& variables, Where where, bool of_process) {
    std::set<std::string> taken;
    for (const Option& row : table()) {
      std::vector<std::string> names{variable_of(row.name)};
      names.insert(names.end(), row.environment.begin(), row.environment.end());
      const std::string* first = nullptr;
      for (const std::string& name : names) {
        auto at = variables.find(name);
        taken.insert(name);
        if (at == variables.end() || at->second.empty()) continue;
        if (first == nullptr) {
          first = &at->first;
          values_[row.name] = {at->second, where(name)};
        } else if (variables.at(*first) != at->second) {
          warnings_.push_back(where(name) + ": is not used: " + *first + " says something else and is asked first");
        }
      }
    }
    std::vector<std::string> all(taken.begin(), taken.end());
    for (const auto& [name, value] : variables) {
      if (!name.starts_with("CARTWRIGHT_") || taken.contains(name) || is_no_option(name)) continue;
      if (name.starts_with(properties_variable) && name.size() > properties_variable.size()) {
        if (value.empty()) continue;
        std::string property = lower(name.substr(properties_variable.size()));
        std::replace(property.begin(), property.end(), '_', '.');
        values_[std::string(properties) + property] = {value, where(name)};
        continue;
      }
      warnings_.push_back(where(name) + ": no option has this variable" + did_you_mean(name, all) +
                          (of_process ? "" : " (not used)"));
    }
  }

  void fault(const Option& row, const std::string& what) {
    const Given& given = values_.at(row.name);
    // A source that is itself the option's name is not said twice.
    std::string where = given.source == "--" + row.name ? given.source : given.source + ": " + row.name;
    errors_.push_back(where + ": \"" + masked(row, given.text) + "\" " + what);
  }

  void apply(Options& options) {
    for (const Option& row : table())
      if (std::string what = row.set(options, values_.at(row.name).text); !what.empty()) fault(row, what);
    for (const auto& [name, given] : values_)
      if (name.starts_with(properties))
        options.kafka_properties.emplace_back(name.substr(properties.size()), given.text);
  }

  /// The secrets of `a.b-file`, read where `a.b` itself says nothing.
  void read_secret_files(Options& options) {
    for (const Option& row : table()) {
      const std::string path_option = row.name + "-file";
      const auto path = values_.find(path_option);
      if (row.kind != Kind::secret || path == values_.end() || path->second.text.empty()) continue;
      const std::string where = path->second.source + ": " + path_option;
      const auto text = sources_.read_file ? sources_.read_file(path->second.text) : std::nullopt;
      if (!values_.at(row.name).text.empty())
        errors_.push_back(where + ": " + row.name + " is set as well; one of the two is enough");
      else if (!text || trimmed(*text).empty())
        errors_.push_back(where + ": the file " + path->second.text + (text ? " is empty" : " cannot be read"));
      else if (std::string what = row.set(options, std::string(trimmed(*text))); !what.empty())
        errors_.push_back(where + ": what " + path->second.text + " holds " + what);
    }
  }

  /// What concerns more than one option.
  void relate(Options& options) {
    auto row = [](std::string_view name) -> const Option& {
      return *std::find_if(table().begin(), table().end(), [&](const Option& one) { return one.name == name; });
    };
    auto address = host_port(options.http_listen);
    options.http_host = address->host;
    options.http_port = address->port;
    if (options.threads == 0) options.threads = std::max(2u, std::thread::hardware_concurrency());
    RoleSet both = options.roles & options.settings.foreign;
    options.roles = static_cast<RoleSet>(options.roles & ~options.settings.foreign);
    if (options.roles == 0)
      fault(row("node.roles"), "leaves no role to run here: foreign-roles gives all of them to other programs");
    else if (both != 0 && values_.at("node.roles").source != "default")
      warnings_.push_back(values_.at("node.roles").source +
                          ": node.roles has roles that foreign-roles gives to other programs; they are not run here");
    if (options.settings.ask_last < options.settings.ask_first)
      fault(row("order.ask-again-max"), "is less than order.ask-again");
    if (options.settings.act_last < options.settings.act_first)
      fault(row("port.ask-again-max"), "is less than port.ask-again");
    if (options.gateway.url.empty()) options.settings.key_ttl = 0;  // the simulated gateway forgets nothing
    const Notices& notices = options.notices;
    for (NoticeChannel& channel : options.settings.channels)
      channel.by_port = channel.name == "email" ? !notices.smtp_url.empty()
                        : channel.name == "sms" ? !notices.sms_url.empty()
                                                : !notices.push_url.empty();
    if (!notices.smtp_url.empty() && notices.from.empty())
      fault(row("smtp.from"), "has to be set where smtp.url is: the sender's address");
    if (notices.user.empty() != notices.password.empty())
      fault(row(notices.user.empty() ? "smtp.user" : "smtp.password"), "has to be set: user and password belong together");
    std::map<std::string, std::string> owners;
    for (const Option& one : table()) {
      if (!one.name.starts_with("topic.")) continue;
      const std::string& name = values_.at(one.name).text;
      for (const std::string& taken : {name, dead_letters_of(name)})
        if (auto [at, fresh] = owners.emplace(taken, one.name); !fresh) {
          fault(one, "is the topic of " + at->second + " already");
          break;  // its dead letters' topic would only say so again
        }
    }
  }

  const Sources& sources_;
  Values values_;
  std::optional<std::string> config_;
  std::vector<std::string> errors_, warnings_;
};

}  // namespace

Result load(const Sources& sources) { return Loader(sources).run(); }

Sources sources_of_process(std::vector<std::string> flags) {
  Sources sources{std::move(flags), {}, [](const std::string& path) -> std::optional<std::string> {
                    std::ifstream in(path, std::ios::binary);
                    if (!in) return {};
                    std::ostringstream text;
                    text << in.rdbuf();
                    if (in.bad()) return {};
                    return text.str();
                  }};
  for (char** one = environ; *one != nullptr; ++one) {
    std::string_view entry(*one);
    if (auto equals = entry.find('='); equals != std::string_view::npos)
      sources.environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return sources;
}

std::vector<std::string> take_flags(std::vector<std::string>& arguments) {
  std::vector<std::string> flags, rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& one = arguments[i];
    if (one == "--") {
      rest.insert(rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      break;
    }
    std::string name = one.substr(0, one.find('='));
    bool ours = name.starts_with("--") &&
                (name.find('.') != std::string::npos || name == "--foreign-roles" || name == "--config");
    if (!ours) {
      rest.push_back(one);
      continue;
    }
    flags.push_back(one);
    bool alone = name == "--log.records" &&
                 (i + 1 == arguments.size() || (arguments[i + 1] != "true" && arguments[i + 1] != "false"));
    if (one.find('=') == std::string::npos && !alone && i + 1 < arguments.size() && !arguments[i + 1].starts_with("--"))
      flags.push_back(arguments[++i]);
  }
  arguments = std::move(rest);
  return flags;
}

}  // namespace cartwright::options
