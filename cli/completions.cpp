// SPDX-License-Identifier: Apache-2.0
#include "cli/completions.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <sstream>
#include <vector>

namespace nacre {
namespace {

// What may stand for a value.
enum class Kind { any, file, folder, account, source, words };

struct Value {
  Kind kind = Kind::any;
  std::string words;  // of Kind::words, separated by blanks
};

struct OptionInfo {
  std::vector<std::string> names;  // with their dashes
  std::string description, shown;  // `shown`: what stands for the value in --help
  bool takes_value = false, repeated = false;
  Value value;
};

constexpr int many = 9;  // as often an argument may be repeated where there is no limit

struct CommandInfo {
  std::string path, name, description;  // path: "nacre libraries create"
  std::vector<OptionInfo> options, places;
  std::vector<CommandInfo> subcommands;
};

// The command line's own words for values tell what they are.
Value value_of(const CLI::Option& option, const std::string& shown) {
  // IsMember writes "{a,b}" behind its type.
  const auto type = option.get_type_name();
  if (const auto begin = type.find('{'); begin != std::string::npos) {
    auto words = type.substr(begin + 1, type.find('}') - begin - 1);
    std::ranges::replace(words, ',', ' ');
    return {Kind::words, words};
  }
  if (shown == "FILE" || shown == "PATH") return {Kind::file, {}};
  if (shown == "DIR" || shown == "MOUNTPOINT") return {Kind::folder, {}};
  if (shown == "ALIAS") return {Kind::account, {}};
  if (shown == "SOURCE" || shown == "PLACES") return {Kind::source, {}};
  return {};
}

OptionInfo describe(const CLI::Option& option) {
  OptionInfo info;
  info.description = option.get_description();
  info.repeated = option.get_items_expected_max() > 1;
  if (option.get_positional()) {
    info.names = {option.get_name()};
    info.shown = option.get_name();
    info.takes_value = true;
  } else {
    for (const auto& name : option.get_snames()) info.names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) info.names.push_back("--" + name);
    info.shown = option.get_option_text();
    info.takes_value = option.get_items_expected_max() > 0;
  }
  info.value = value_of(option, info.shown);
  return info;
}

CommandInfo describe(const CLI::App& app, const std::string& above) {
  CommandInfo info{.path = above + app.get_name(),
                   .name = app.get_name(),
                   .description = app.get_description(),
                   .options = {},
                   .places = {},
                   .subcommands = {}};
  for (const auto* option : app.get_options()) {
    auto described = describe(*option);
    if (!option->get_positional()) {
      info.options.push_back(std::move(described));
      continue;
    }
    const int times = std::min(option->get_items_expected_max(), many);
    for (int i = 0; i < times; ++i) info.places.push_back(described);
  }
  const auto shown = [](const CLI::App* child) { return !child->get_group().empty(); };
  for (const auto* child : app.get_subcommands(shown))
    info.subcommands.push_back(describe(*child, info.path + " "));
  return info;
}

std::vector<const CommandInfo*> all_of(const CommandInfo& top) {
  std::vector<const CommandInfo*> all = {&top};
  for (const auto& child : top.subcommands)
    for (const auto* below : all_of(child)) all.push_back(below);
  return all;
}

std::string replaced(std::string text, char what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, 1, by);
  return text;
}

// --- bash ---

std::string bash_kind(const Value& value) {
  switch (value.kind) {
    case Kind::file: return "file";
    case Kind::folder: return "folder";
    case Kind::account: return "account";
    case Kind::source: return "source";
    case Kind::words: return "words " + value.words;
    case Kind::any: break;
  }
  return "any";
}

constexpr const char* bash_functions = R"bash(
_nacre_accounts() {
  local file
  for file in "${XDG_CONFIG_HOME:-$HOME/.config}"/nacre/accounts/*.token; do
    [[ -f $file ]] && file=${file##*/} && echo "${file%.token}"
  done
}

_nacre() {
  local cur=${COMP_WORDS[COMP_CWORD]} command=nacre kind= place=1 i word
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = ]]; then
      continue
    elif [[ $word == : ]]; then  # readline cuts dir:PATH and URLs in pieces
      ((++i < COMP_CWORD)) || ((--place))
    elif [[ -n $kind ]]; then
      kind=
    elif [[ $word == -* ]]; then
      _nacre_kind "$command $word"
    elif [[ " $(_nacre_commands "$command") " == *" $word "* ]]; then
      command+=" $word" place=1
    else
      ((++place))
    fi
  done
  [[ $cur == : ]] && ((--place))
  [[ $cur == [:=] ]] && cur=
  COMPREPLY=()
  if [[ -z $kind && $cur == -* ]]; then
    kind="words $(_nacre_options "$command")"
  elif [[ -z $kind && $place -eq 1 && -n $(_nacre_commands "$command") ]]; then
    kind="words $(_nacre_commands "$command")"
  elif [[ -z $kind ]]; then
    _nacre_kind "$command $place"
  fi
  case $kind in
    file)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    folder)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      ;;
    account) mapfile -t COMPREPLY < <(compgen -W "$(_nacre_accounts)" -- "$cur") ;;
    source)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -W "$(_nacre_accounts)" -- "$cur"; compgen -d -- "$cur")
      ;;
    words*) mapfile -t COMPREPLY < <(compgen -W "${kind#words}" -- "$cur") ;;
  esac
}

complete -F _nacre nacre
)bash";

std::string join(const std::vector<std::string>& words, const char* between) {
  std::string line;
  for (const auto& word : words) line += (line.empty() ? "" : between) + word;
  return line;
}

// One line of a case, where there is anything to say.
void bash_case(std::ostream& out, const std::string& of, const std::string& words) {
  if (!words.empty()) out << "    '" << of << "') echo '" << words << "' ;;\n";
}

std::string bash_script(const CommandInfo& top) {
  std::ostringstream commands, options, kinds;
  for (const auto* command : all_of(top)) {
    std::vector<std::string> children, names;
    for (const auto& child : command->subcommands) children.push_back(child.name);
    for (const auto& option : command->options) {
      names.insert(names.end(), option.names.begin(), option.names.end());
      if (!option.takes_value) continue;
      for (const auto& name : option.names)
        kinds << "    '" << command->path << ' ' << name << "') kind='" << bash_kind(option.value)
              << "' ;;\n";
    }
    bash_case(commands, command->path, join(children, " "));
    bash_case(options, command->path, join(names, " "));
    for (std::size_t i = 0; i < command->places.size(); ++i)
      kinds << "    '" << command->path << ' ' << i + 1 << "') kind='"
            << bash_kind(command->places[i].value) << "' ;;\n";
  }
  const auto function = [](const char* name, const char* what, const std::ostringstream& cases) {
    return "\n# " + std::string(what) + "\n" + name + "() {\n  case $1 in\n" + cases.str() +
           "  esac\n}\n";
  };
  return "# bash completion for nacre, made by `nacre completions bash`\n" +
         function("_nacre_commands", "The subcommands of a command.", commands) +
         function("_nacre_options", "Its options.", options) +
         function("_nacre_kind", "Sets kind: of an option's value, or of the argument of a number.",
                  kinds) +
         bash_functions;
}

// --- zsh ---

constexpr const char* zsh_functions = R"zsh(
__nacre_accounts() {
  local -a accounts=(${XDG_CONFIG_HOME:-$HOME/.config}/nacre/accounts/*.token(N:t:r))
  compadd -a accounts
}

__nacre_sources() {
  _alternative 'accounts:account:__nacre_accounts' 'folders:folder:_files -/'
}
)zsh";

// Within single quotes, and within the brackets or between the colons of _arguments.
std::string zsh_text(std::string text) {
  for (const char special : {'\\', ':', '[', ']'})
    text = replaced(text, special, std::string("\\") + special);
  return replaced(text, '\'', "'\\''");
}

std::string zsh_action(const Value& value) {
  switch (value.kind) {
    case Kind::file: return "_files";
    case Kind::folder: return "_files -/";
    case Kind::account: return "__nacre_accounts";
    case Kind::source: return "__nacre_sources";
    case Kind::words: return "(" + value.words + ")";
    case Kind::any: break;
  }
  return " ";
}

std::string zsh_option(const OptionInfo& option, const std::string& name) {
  const auto others = "(" + join(option.names, " ") + ")";
  return "'" + (option.repeated ? "*" : others) + name + "[" + zsh_text(option.description) + "]" +
         (option.takes_value ? ":" + zsh_text(option.shown) + ":" + zsh_action(option.value) : "") +
         "'";
}

std::string zsh_function_of(const CommandInfo& command) {
  return replaced("_" + command.path, ' ', "_");
}

void zsh_command(std::ostream& out, const CommandInfo& command) {
  out << '\n' << zsh_function_of(command) << "() {\n";
  if (!command.subcommands.empty())
    out << "  local context state state_descr line\n  typeset -A opt_args\n";
  out << "  _arguments -s" << (command.subcommands.empty() ? "" : " -C");
  for (const auto& option : command.options)
    for (const auto& name : option.names) out << " \\\n    " << zsh_option(option, name);
  for (const auto& place : command.places)
    out << " \\\n    ':" << zsh_text(place.shown) << ':' << zsh_action(place.value) << "'";
  if (!command.subcommands.empty()) {
    out << " \\\n    '1: :->command' '*:: :->rest'\n  case $state in\n    command)\n"
        << "      local -a commands=(\n";
    for (const auto& child : command.subcommands)
      out << "        '" << child.name << ':' << zsh_text(child.description) << "'\n";
    out << "      )\n      _describe command commands\n      ;;\n    rest)\n"
        << "      case $line[1] in\n";
    for (const auto& child : command.subcommands)
      out << "        " << child.name << ") " << zsh_function_of(child) << " ;;\n";
    out << "      esac\n      ;;\n  esac";
  }
  out << "\n}\n";
}

std::string zsh_script(const CommandInfo& top) {
  std::ostringstream out;
  out << "#compdef nacre\n# zsh completion for nacre, made by `nacre completions zsh`\n"
      << zsh_functions;
  for (const auto* command : all_of(top)) zsh_command(out, *command);
  out << "\n# Autoloaded, this file is the function's first call.\n"
         "if [[ $funcstack[1] == _nacre ]]; then\n  _nacre \"$@\"\nelse\n  compdef _nacre nacre\n"
         "fi\n";
  return out.str();
}

// --- fish ---

constexpr const char* fish_functions = R"fish(
function __nacre_accounts
    set -l config $XDG_CONFIG_HOME ~/.config
    for file in $config[1]/nacre/accounts/*.token
        string replace -r '.*/(.*)\.token$' '$1' -- $file
    end
end

# Whether this is the command that the words so far name.
function __nacre_at
    set -l command nacre
    for word in (commandline -opc)[2..]
        contains -- "$command $word" $__nacre_commands; and set command "$command $word"
    end
    test "$command" = "$argv[1]"
end

complete -c nacre -f
)fish";

std::string fish_text(const std::string& text) {
  return "'" + replaced(replaced(text, '\\', "\\\\"), '\'', "\\'") + "'";
}

std::string fish_value(const Value& value) {
  switch (value.kind) {
    case Kind::file: return " -rF";
    case Kind::folder: return " -xa '(__fish_complete_directories)'";
    case Kind::account: return " -xa '(__nacre_accounts)'";
    case Kind::source: return " -xa '(__nacre_accounts; __fish_complete_directories)'";
    case Kind::words: return " -xa " + fish_text(value.words);
    case Kind::any: break;
  }
  return " -x";
}

void fish_command(std::ostream& out, const CommandInfo& command) {
  const auto at = "complete -c nacre -n '__nacre_at \"" + command.path + "\"'";
  out << '\n';
  for (const auto& child : command.subcommands)
    out << at << " -a " << child.name << " -d " << fish_text(child.description) << '\n';
  for (const auto& option : command.options) {
    out << at;
    for (const auto& name : option.names)
      out << (name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1));
    out << (option.takes_value ? fish_value(option.value) : "") << " -d "
        << fish_text(option.description) << '\n';
  }
  for (const auto& place : command.places)
    if (place.value.kind != Kind::any) out << at << fish_value(place.value) << '\n';
}

std::string fish_script(const CommandInfo& top) {
  std::ostringstream out;
  out << "# fish completion for nacre, made by `nacre completions fish`\n\nset -g __nacre_commands";
  for (const auto* command : all_of(top)) out << " '" << command->path << "'";
  out << '\n' << fish_functions;
  for (const auto* command : all_of(top)) fish_command(out, *command);
  return out.str();
}

}  // namespace

std::string completions_for(const std::string& shell, const CLI::App& app) {
  const auto top = describe(app, "");
  if (shell == "zsh") return zsh_script(top);
  if (shell == "fish") return fish_script(top);
  return bash_script(top);
}

}  // namespace nacre
