// SPDX-License-Identifier: Apache-2.0
#include "cli/app.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <ostream>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/completions.hpp"
#include "fs/control.hpp"
#include "fs/fusermount_helper.hpp"

namespace nacre {
namespace {

// Writes [SOURCE] MOUNTPOINT for mount's places: CLI11 has no optional argument before a needed
// one.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(34); }
  std::string make_option_usage(const CLI::Option* option) const override {
    return is_places(option) ? "[SOURCE] MOUNTPOINT" : Formatter::make_option_usage(option);
  }
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    return is_places(option) ? "[SOURCE]" : Formatter::make_option_name(option, positional);
  }

 private:
  static bool is_places(const CLI::Option* option) { return option->get_name() == "PLACES"; }
};

void add_mountpoint(CLI::App* app, std::string& mountpoint) {
  app->add_option("MOUNTPOINT", mountpoint, "Where it is mounted")->required();
}

void add_mount(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("mount", "Mount libraries on an empty folder");
  const auto options = add(commands, command, mount);
  command
      ->add_option("PLACES", options->places,
                   "An account, its URL, or dir:PATH (may be left out when there is one account), "
                   "and an empty folder")
      ->option_text("MOUNTPOINT")
      ->required()
      ->expected(1, 2);
  const auto many = [command](const char* name, std::vector<std::string>& values,
                              const char* description, const char* value) {
    command->add_option(name, values, description)->option_text(value)->allow_extra_args(false);
  };
  many("--library", options->libraries, "Only this library; may be repeated", "NAME|ID");
  many("--unlock", options->unlock, "Give this library's password now; may be repeated", "NAME|ID");
  add_password(command, options->password);
  command->add_flag("--remember-password", options->remember_password,
                    "Put passwords given with --unlock into the keyring of your session");
  command->add_flag("--foreground", options->foreground, "Stay in the foreground, log to stderr");
  command->add_flag("--read-only", options->read_only, "Take no changes");
  command->add_flag("--lock-on-sleep", options->lock_on_sleep,
                    "Lock encrypted libraries when the machine goes to sleep");
  command->add_option("--cache-dir", options->cache_dir, "Where fetched data is kept")
      ->option_text("DIR");
  command->add_option("--state-dir", options->state_dir, "Where unsent changes are kept")
      ->option_text("DIR");
  command->add_option("--fsync", options->fsync, "What fsync waits for: local (default), or remote")
      ->option_text("WHERE")
      ->check(CLI::IsMember({"local", "remote"}));
  many("-o", options->options, "Mount options, separated by commas", "OPTION,...");
}

void add_control(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("unlock", "Give the password of an encrypted library");
  const auto unlocked = add(commands, command, unlock);
  add_mountpoint(command, unlocked->mountpoint);
  command->add_option("LIBRARY", unlocked->library, "Its name or id")->required();
  command->add_flag("--accept-new-key", unlocked->accept_new_key,
                    "Its password was changed elsewhere: remember its key as it is told now");
  add_password(command, unlocked->password);
  command->add_flag("--remember-password", unlocked->remember_password,
                    "Put it into the keyring of your session");

  command = app.add_subcommand("lock", "Forget the passwords of encrypted libraries");
  const auto locked = add(commands, command, lock);
  add_mountpoint(command, locked->mountpoint);
  command->add_option("LIBRARY", locked->library, "Only this one: its name or id");
  command->add_flag("--forget", locked->forget, "Also forget what the keyring has");

  command = app.add_subcommand("sync", "Send changes now");
  const auto synced = add(commands, command, sync);
  add_mountpoint(command, synced->mountpoint);
  command->add_flag("--wait", synced->wait, "Return when the server has confirmed all of them");
  command->add_flag("--accept-rollback", synced->accept_rollback,
                    "Follow a server that went back to an older state, and wait");
  command->add_flag("--confirm-deletes", synced->confirm_deletes,
                    "Send deletions that wait for it, and wait; also of one library's folder");
  command->add_option("--timeout", synced->timeout, "With --wait: give up after S seconds (600)")
      ->option_text("S")
      ->check(CLI::Range(1, 30 * 24 * 3600));

  command = app.add_subcommand("status", "Show what a mount is doing");
  const auto asked = add(commands, command, status);
  add_mountpoint(command, asked->mountpoint);
  auto* json = add_json(command, asked->json);
  auto* watch = command->add_flag("--watch", asked->watch, "Go on showing it, until Ctrl-C");
  command
      ->add_flag("--metrics", asked->metrics, "Print figures for monitoring, as OpenMetrics text")
      ->excludes(json, watch);
  watch->excludes(json);
  command->footer("Example: nacre status ~/Seafile --watch");

  command = app.add_subcommand("umount", "End a mount");
  const auto unmounted = add(commands, command, umount);
  add_mountpoint(command, unmounted->mountpoint);
  command
      ->add_option("--timeout", unmounted->timeout,
                   "Send what is unsent for at most S seconds first (30)")
      ->option_text("S")
      ->check(CLI::Range(0, 30 * 24 * 3600));
}

void add_rescue(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("rescue", "Write all unsent changes out as plain files");
  const auto options = add(commands, command, rescue);
  command
      ->add_option("SOURCE", options->source, "A mountpoint; or, unmounted, an account or dir:PATH")
      ->required();
  command->add_option("DIR", options->folder, "A new or empty folder for the files")->required();
  command->add_option("--unlock", options->unlock, "Give this library's password; may be repeated")
      ->option_text("NAME|ID")
      ->allow_extra_args(false);
  add_password(command, options->password);
  command->add_option("--cache-dir", options->cache_dir, "Where fetched data is kept")
      ->option_text("DIR");
  command->add_option("--state-dir", options->state_dir, "Where unsent changes are kept")
      ->option_text("DIR");
  add_json(command, options->json);
}

void add_server(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("serve", "Serve a folder as a small Seafile server");
  const auto options = add(commands, command, serve);
  command->add_option("DIR", options->folder, "Where libraries and users are kept")->required();
  auto* listen = command->add_option("--listen", options->listen, "Address to listen on")
                     ->option_text("ADDR:PORT");
  auto* cert = command->add_option("--tls-cert", options->tls_cert, "Certificate chain (PEM)")
                   ->option_text("FILE");
  auto* key = command->add_option("--tls-key", options->tls_key, "Its private key (PEM)")
                  ->option_text("FILE");
  cert->needs(key);
  key->needs(cert);
  command
      ->add_option("--faults", options->faults,
                   "For tests: do wrong what the rules in FILE say; see nacre-serve(1)")
      ->option_text("FILE")
      ->needs(listen);
  command->add_option("--add-user", options->add_user, "Add a user, or set its password")
      ->option_text("NAME")
      ->excludes(listen);
  add_password(command, options->password);

  command = app.add_subcommand("demo", "Try it all with a server of its own, leaving nothing");
  add(commands, command, demo);
}

void add_completions(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("completions", "Print a shell's script to complete commands");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(shells.begin(), shells.end())));
  commands.push_back({command, [shell, &app](const Io& io) {
                        io.out << completions_for(*shell, app) << std::flush;
                        return Exit::ok;
                      }});
}

// For a unit of the user manager, not for people: no help shows it.
void add_fusermount_helper(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("fusermount-helper")->group("");
  auto folder = std::make_shared<std::string>();
  command->add_option("DIR", *folder)->required();
  commands.push_back({command, [folder](const Io&) {
                        serve_fusermount(STDIN_FILENO, *folder);
                        return Exit::ok;
                      }});
}

std::string name_of(const CLI::App& app) {
  std::string name = "nacre";
  for (const auto* chosen = &app; !chosen->get_subcommands().empty();) {
    chosen = chosen->get_subcommands().front();
    name += " " + chosen->get_name();
  }
  return name;
}

Exit parse_and_run(std::span<const std::string> args, const Io& io) {
  CLI::App app("Mounts the libraries of a Seafile server as folders.", "nacre");
  app.formatter(std::make_shared<HelpFormatter>());  // subcommands take it over
  app.set_version_flag("--version", "nacre " NACRE_VERSION);
  app.require_subcommand(1);
  Commands commands;
  add_account_commands(app, commands);
  add_mount(app, commands);
  add_control(app, commands);
  add_path_commands(app, commands);
  add_rescue(app, commands);
  add_server(app, commands);
  add_completions(app, commands);
  add_fusermount_helper(app, commands);
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));  // reversed, as CLI11 wants
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help, --version
      app.exit(e, io.out, io.err);
      return Exit::ok;
    }
    io.err << "nacre: " << e.what() << "; see `" << name_of(app) << " --help`\n";
    return Exit::usage;
  }
  // The innermost that was given is the last: `libraries create` is both.
  const auto chosen = std::find_if(commands.rbegin(), commands.rend(),
                                   [](const Command& command) { return command.app->parsed(); });
  return chosen->run(io);
}

}  // namespace

void add_password(CLI::App* app, PasswordSource& source) {
  auto* fd = app->add_option("--password-fd", source.fd, "Read the password from descriptor N")
                 ->option_text("N")
                 ->check(CLI::NonNegativeNumber);
  app->add_option("--password-command", source.command, "Read the password from CMD's output")
      ->option_text("CMD")
      ->excludes(fd);
}

void add_account(CLI::App* app, std::string& account) {
  app->add_option("--account", account, "Account to use; may be left out when there is one")
      ->option_text("ALIAS");
}

CLI::Option* add_json(CLI::App* app, bool& json, const char* what) {
  return app->add_flag("--json", json, what);
}

Exit as_exit(const Io& io, const std::function<Exit()>& work) noexcept try {
  try {
    return work();
  } catch (const UsageError& e) {
    io.err << "nacre: " << e.what() << '\n';
    return Exit::usage;
  } catch (const Error& e) {
    io.err << "nacre: " << e.what() << '\n';
    return static_cast<Exit>(exit_status(e.code()));
  } catch (const std::exception& e) {
    io.err << "nacre: internal: " << e.what() << "; please report it\n";
    return Exit::failed;
  }
} catch (...) {
  return Exit::failed;
}

Exit run(std::span<const std::string> args, const Io& io) {
  return as_exit(io, [&] { return parse_and_run(args, io); });
}

void keep_memory_private() noexcept {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none = {.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace nacre
