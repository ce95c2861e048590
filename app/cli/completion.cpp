#include "app/cli/completion.hpp"

namespace cartwright::cli {
namespace {

using Words = std::vector<std::pair<std::string, std::string>>;

std::string names(const Words& words, std::string_view after = "") {
  std::string out;
  for (const auto& [name, help] : words) out += name + std::string(after) + " ";
  return out;
}

/// Both bash and zsh: `typed` (zsh keeps `path` for itself) is what has been typed so far, at most as long as there are commands.
std::string cases(const std::vector<Completions>& all) {
  std::string out;
  for (const Completions& one : all) out += "    '" + one.path + "') choices='" + names(one.commands) + names(one.options) + "' ;;\n";
  return out;
}

/// The commands that have commands of their own, as a pattern.
std::string groups(const std::vector<Completions>& all) {
  std::string out;
  for (const Completions& one : all)
    if (!one.path.empty() && !one.commands.empty()) out += (out.empty() ? "" : "|") + one.path;
  return out;
}

/// Follows the words before the current one; `list` is the shell's spelling of them.
std::string walk(const std::vector<Completions>& all, const std::string& list) {
  return "  for word in " + list + "; do\n"
         "    [[ $word == -* ]] && continue\n"
         "    if [[ -z $typed ]]; then typed=$word\n"
         "    else case $typed in " + groups(all) + ") typed=\"$typed $word\" ;; esac\n"
         "    fi\n"
         "  done\n";
}

std::string bash(const std::vector<Completions>& all, const Words& settings) {
  return "# cartwright completion bash > /usr/share/bash-completion/completions/cartwright\n"
         "_cartwright() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} typed='' word choices=''\n" +
         walk(all, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") + "  case $typed in\n" + cases(all) +
         "  esac\n"
         "  [[ $current == --*.* || $typed == node ]] && choices+=' " + names(settings, "=") + "'\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$current\")\n"
         "  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
         "}\n"
         "complete -F _cartwright cartwright\n";
}

std::string zsh(const std::vector<Completions>& all, const Words& settings) {
  return "#compdef cartwright\n"
         "# cartwright completion zsh > a folder of $fpath, as _cartwright\n"
         "_cartwright() {\n"
         "  local current=${words[CURRENT]} typed='' word choices=''\n"
         "  local -a before\n"
         "  before=(\"${(@)words[2,CURRENT-1]}\")\n" +
         walk(all, "$before") + "  case $typed in\n" + cases(all) +
         "  esac\n"
         "  compadd -- ${=choices}\n"
         "  if [[ $current == --*.* || $typed == node ]]; then\n"
         "    compadd -S '' -- " + names(settings, "=") + "\n"
         "  fi\n"
         "}\n"
         "if [[ $funcstack[1] == _cartwright ]]; then _cartwright \"$@\"; else compdef _cartwright cartwright; fi\n";
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish(const std::vector<Completions>& all, const Words& settings) {
  std::string out =
      "# cartwright completion fish > ~/.config/fish/completions/cartwright.fish\n"
      "function __cartwright_at\n"
      "  set -l typed\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    string match -q -- '-*' $word; and continue\n"
      "    if test -z \"$typed\"\n"
      "      set typed $word\n"
      "    else if contains -- \"$typed\"";
  for (const Completions& one : all)
    if (!one.path.empty() && !one.commands.empty()) out += " " + one.path;
  out +=
      "\n      set typed \"$typed $word\"\n"
      "    end\n"
      "  end\n"
      "  test \"$typed\" = \"$argv\"\n"
      "end\n"
      "complete -c cartwright -f\n";
  for (const Completions& one : all) {
    const std::string at = "complete -c cartwright -n " + in_quotes("__cartwright_at " + one.path) + " ";
    for (const auto& [name, help] : one.commands) out += at + "-a " + name + " -d " + in_quotes(help) + "\n";
    for (const auto& [name, help] : one.options) out += at + "-l " + name.substr(2) + " -d " + in_quotes(help) + "\n";
  }
  for (const auto& [name, help] : settings)
    out += "complete -c cartwright -n '__cartwright_at node' -x -l " + name.substr(2) + " -d " + in_quotes(help) + "\n";
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<Completions>& all, const Words& settings) {
  if (shell == "zsh") return zsh(all, settings);
  if (shell == "fish") return fish(all, settings);
  return bash(all, settings);
}

}  // namespace cartwright::cli
