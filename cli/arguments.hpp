// SPDX-License-Identifier: Apache-2.0
//
// How subcommands are put on the command line: for app.cpp and arguments_*.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.hpp"

namespace nacre {

// The command line of one subcommand, and what to do when it was chosen.
struct Command {
  CLI::App* app;
  std::function<Exit(const Io&)> run;
};
using Commands = std::vector<Command>;

// Adds a subcommand whose options live as long as `commands` does.
template <class Options>
std::shared_ptr<Options> add(Commands& commands, CLI::App* app,
                             Exit (*run)(const Options&, const Io&)) {
  auto options = std::make_shared<Options>();
  commands.push_back({app, [options, run](const Io& io) { return run(*options, io); }});
  return options;
}

// Options that several subcommands have.
void add_password(CLI::App* app, PasswordSource& source);
void add_account(CLI::App* app, std::string& account);
CLI::Option* add_json(CLI::App* app, bool& json, const char* what = "Print one JSON object");

// The subcommands by subject.
void add_account_commands(CLI::App& app, Commands& commands);
void add_path_commands(CLI::App& app, Commands& commands);

}  // namespace nacre
