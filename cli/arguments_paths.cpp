// SPDX-License-Identifier: Apache-2.0
//
// The command lines of what is about files and folders of a mount.
#include "cli/arguments.hpp"

namespace nacre {
namespace {

void add_path(CLI::App* command, std::string& path) {
  command->add_option("PATH", path, "A file or folder in a mount")->required();
}

void add_why(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("why", "Say what a file is waiting for");
  const auto options = add(commands, command, why);
  add_path(command, options->path);
  add_json(command, options->json);
  command->footer("Example: nacre why ~/Seafile/Documents/letter.odt");
}

void add_privacy(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("privacy", "Say who can see what of a file or folder");
  const auto options = add(commands, command, privacy);
  add_path(command, options->path);
  add_json(command, options->json);
  command->footer("Example: nacre privacy ~/Seafile/Documents/letter.odt");
}

void add_paths(CLI::App* command, std::vector<std::string>& paths) {
  command->add_option("PATH", paths, "Files or folders in a mount")->required();
}

void add_pins(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("pin", "Keep files and folders on this machine");
  const auto pinned = add(commands, command, pin);
  add_paths(command, pinned->paths);
  command->add_flag("--no-wait", pinned->no_wait, "Return at once, and fetch in the background");
  command->footer("Example: nacre pin ~/Seafile/Travel");

  command = app.add_subcommand("unpin", "Let go what was pinned");
  const auto unpinned = add(commands, command, unpin);
  add_paths(command, unpinned->paths);
  command->footer("Example: nacre unpin ~/Seafile/Travel");

  command = app.add_subcommand("evict", "Drop the cached contents of files and folders");
  const auto evicted = add(commands, command, evict);
  add_paths(command, evicted->paths);
  command->footer("Example: nacre evict ~/Seafile/Videos");
}

void add_history(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("history", "List the versions of a file or folder");
  const auto looked = add(commands, command, history);
  add_path(command, looked->path);
  command->add_option("--limit", looked->limit, "Show at most N versions (20)")
      ->option_text("N")
      ->check(CLI::Range(1, 1000));
  command->add_option("--before", looked->before, "Go on from this commit, where a list ended")
      ->option_text("COMMIT");
  add_json(command, looked->json);
  command->footer("Example: nacre history ~/Seafile/Documents/letter.odt");

  command = app.add_subcommand("restore", "Bring back an old version");
  const auto restored = add(commands, command, restore);
  command->add_option("PATH", restored->path, "A file or folder in a mount, as it was called then")
      ->required();
  command->add_option("--at", restored->at, "The commit whose version is wanted")
      ->option_text("COMMIT")
      ->required();
  command->add_option("--to", restored->to, "Under this name, in the same library")
      ->option_text("NEW");
  command->footer("Example: nacre restore letter.odt --at COMMIT --to letter-old.odt");

  command = app.add_subcommand("du", "Add up sizes, and what of them is cached and unsent");
  const auto summed = add(commands, command, du);
  add_path(command, summed->path);
  add_json(command, summed->json);
  command->footer("Example: nacre du ~/Seafile/Videos");
}

}  // namespace

void add_path_commands(CLI::App& app, Commands& commands) {
  add_why(app, commands);
  add_privacy(app, commands);
  add_pins(app, commands);
  add_history(app, commands);
}

}  // namespace nacre
