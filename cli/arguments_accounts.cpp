// SPDX-License-Identifier: Apache-2.0
//
// The command lines of what is about accounts and their libraries.
#include "cli/arguments.hpp"

namespace nacre {
namespace {

void add_login(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("login", "Log in to a server and remember the account");
  const auto options = add(commands, command, login);
  command->add_option("URL", options->url, "The server's address")->required();
  command->add_option("--user", options->user, "Name to log in with, often an e-mail address")
      ->option_text("NAME");
  add_password(command, options->password);
  command->add_option("--token-fd", options->token_fd, "Read an existing token from descriptor N")
      ->option_text("N")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--browser", options->browser,
                    "Log in with a web browser, as servers with single sign-on want it");
  command->add_option("--otp", options->one_time_code, "One-time code of two-factor login")
      ->option_text("CODE");
  command->add_option("--ca-file", options->ca_file, "Trust only the CAs in file F (PEM)")
      ->option_text("FILE");
  command->add_option("--account", options->account, "Name of the account here; default: its host")
      ->option_text("ALIAS");
  command->add_flag("--insecure-http", options->insecure_http,
                    "Allow http:// to other machines: everybody on the way can read all");
}

void add_logout(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("logout", "Forget an account and its token");
  const auto options = add(commands, command, logout);
  command->add_option("ALIAS", options->account, "Which account, where there are several");
}

void add_accounts(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("accounts", "List the accounts of this machine");
  const auto options = add(commands, command, list_accounts);
  add_json(command, options->json, "Print one JSON list");
  command->footer("Example: nacre accounts --json | jq -r '.[].alias'");
}

void add_show(CLI::App* command, std::optional<int>& fd) {
  command
      ->add_option("--show-fd", fd,
                   "Write the password that is made to descriptor N, not the terminal")
      ->option_text("N")
      ->check(CLI::NonNegativeNumber);
}

void add_new_password(CLI::App* command, NewPasswordSource& source) {
  add_password(command, source.given);
  command->add_flag("--generate-password", source.made, "Have the new password made by chance");
  add_show(command, source.show_fd);
  command->add_flag("--weak-password", source.weak, "Also take one that is easy to guess");
}

void add_make_password(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("password", "Make a password that nobody guesses");
  const auto options = add(commands, command, make_password);
  add_show(command, options->show_fd);
  command->footer("Example: nacre password --show-fd 3 3> password.txt");
}

void add_libraries(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("libraries", "List the libraries of an account");
  const auto options = add(commands, command, libraries);
  add_account(command, options->account);
  add_json(command, options->json, "Print one JSON list");

  auto* create = command->add_subcommand("create", "Create a library and print its id");
  const auto created = add(commands, create, create_library);
  create->add_option("NAME", created->name, "Name of the library")->required();
  create->add_flag("--encrypted", created->encrypted, "Encrypt its contents with a password");
  create
      ->add_option("--encryption", created->encryption,
                   "Version: 2, or 4; default: the newest that the server's clients open")
      ->option_text("V")
      ->check(CLI::IsMember({2, 4}));
  add_new_password(create, created->password);
  add_account(create, created->account);

  auto* rename = command->add_subcommand("rename", "Rename a library");
  const auto renamed = add(commands, rename, rename_library);
  rename->add_option("LIBRARY", renamed->library, "Its name or id")->required();
  rename->add_option("NAME", renamed->new_name, "The new name")->required();
  add_account(rename, renamed->account);
  rename->footer("Example: nacre libraries rename Photos 'Photos until 2025'");

  auto* remove = command->add_subcommand("delete", "Delete a library on the server");
  const auto removed = add(commands, remove, delete_library);
  remove->add_option("LIBRARY", removed->library, "Its name or id")->required();
  remove->add_flag("--yes", removed->yes, "Do not ask for its name first");
  add_account(remove, removed->account);
  remove->footer("Example: nacre libraries delete Scratch");

  auto* passwd = command->add_subcommand("passwd", "Change the password of an encrypted library");
  const auto changed = add(commands, passwd, library_password);
  passwd->add_option("LIBRARY", changed->library, "Its name or id")->required();
  add_new_password(passwd, changed->password);
  add_account(passwd, changed->account);
  passwd->add_option("--state-dir", changed->state_dir, "Where its mount keeps unsent changes")
      ->option_text("DIR");
  passwd->footer("Example: nacre libraries passwd Private");
}

void add_forget(CLI::App& app, Commands& commands) {
  auto* command =
      app.add_subcommand("forget", "Remove every trace of an account from this machine");
  const auto options = add(commands, command, forget);
  command->add_option("ALIAS", options->account, "Which account")->required();
  command->add_flag("--yes", options->yes, "Do not ask");
  command->add_flag("--force", options->force, "Also remove changes that were never sent");
  command->footer("Example: nacre forget sync.example.com");
}

void add_doctor(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("doctor", "Look for what could keep nacre from working");
  const auto options = add(commands, command, doctor);
  add_account(command, options->account);
  add_json(command, options->json, "Print one JSON list");
  command->footer("Example: nacre doctor");
}

void add_bench(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("bench", "Measure this machine and its server");
  const auto options = add(commands, command, bench);
  add_account(command, options->account);
  command->add_option("--library", options->library, "Also fetch what this library holds")
      ->option_text("NAME|ID");
  command
      ->add_option("--upload", options->upload,
                   "Also send, into a library of this name that is made for it and deleted again")
      ->option_text("NAME");
  command->add_flag("--yes", options->yes, "Do not ask before sending");
  add_json(command, options->json);
  command->footer("Example: nacre bench --library Photos");
}

}  // namespace

void add_account_commands(CLI::App& app, Commands& commands) {
  add_login(app, commands);
  add_logout(app, commands);
  add_accounts(app, commands);
  add_libraries(app, commands);
  add_make_password(app, commands);
  add_forget(app, commands);
  add_doctor(app, commands);
  add_bench(app, commands);
}

}  // namespace nacre
