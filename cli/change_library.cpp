// SPDX-License-Identifier: Apache-2.0
//
// libraries rename, delete and passwd.
#include <algorithm>
#include <ctime>
#include <ostream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"
#include "cli/confirm.hpp"
#include "cli/library_password.hpp"
#include "cli/new_password.hpp"
#include "fs/shown_text.hpp"

namespace nacre {
namespace {

constexpr int publish_tries = 5;  // against others who change the library meanwhile

}  // namespace

Exit rename_library(const RenameLibraryOptions& options, const Io&) {
  if (const auto* fault = name_fault(options.new_name))
    throw UsageError("libraries rename: the new name " + std::string(fault));
  const auto remote = open_account(choose_account(options.account), false);
  const auto all = remote->libraries();
  if (std::ranges::any_of(all, [&](const LibraryInfo& library) {
        return library.name == options.new_name && library.owner == remote->user();
      }))
    throw Error(Errc::exists,
                options.new_name + ": you have a library of this name; choose another");
  remote->rename_library(choose_library(*remote, options.library).id, options.new_name);
  return Exit::ok;
}

Exit delete_library(const DeleteLibraryOptions& options, const Io& io) {
  const auto remote = open_account(choose_account(options.account), false);
  const auto library = choose_library(*remote, options.library);
  const auto name = printable(library.name);
  if (!options.yes &&
      !confirmed(io,
                 "Library " + name + " (" + library.id.str() +
                     ") and all its history are deleted " +
                     "on the server, for everybody.\nType its name to go on:",
                 library.name, "libraries delete: nobody to ask; say --yes to delete " + name)) {
    io.err << "nacre: nothing was deleted\n";
    return Exit::failed;
  }
  remote->delete_library(library.id);
  return Exit::ok;
}

// The server keeps the wrapped key in the library's head: it is put there wrapped anew, by a
// commit of the same tree, and the server never hears a password.
Exit library_password(const LibraryPasswordOptions& options, const Io& io) {
  const auto account = choose_account(options.account);
  const auto remote = open_account(account, false);
  const auto library = choose_library(*remote, options.library);
  if (!library.encrypted)
    throw Error(Errc::invalid, options.library + ": not encrypted, it has no password");
  check_source(options.password, "libraries passwd");
  const auto& given = options.password.given;
  std::vector<std::string> prompts = {"Password of " + options.library};
  if (given.given() && !options.password.made)
    prompts.push_back("New password of " + options.library);
  auto passwords = read_secrets(given, prompts);
  const auto known_keys = known_keys_of(account, options.state_dir);
  std::optional<Secret> fresh;
  for (int tries = 0; tries < publish_tries; ++tries) {
    const auto now = remote->commit(library.id, remote->head(library.id));
    known_keys.check(library.id, options.library, now.encryption);
    const auto key = unlock(library.id, now.encryption, passwords[0]);
    if (!key)
      throw Error(Errc::wrong_password, options.library + ": wrong password; nothing was changed");
    known_keys.check_accepted(library.id, options.library, now.encryption, *key);
    if (!fresh) {
      std::optional<Secret> read;
      if (passwords.size() > 1) read = std::move(passwords[1]);
      fresh = new_password(options.password, std::move(read), options.library, now.encryption, io);
    }
    const auto changed = change_password(library.id, now.encryption, passwords[0], *fresh);
    // A mount that sees it before we hear of it takes it over.
    known_keys.remember(library.id, now.encryption, *key, *changed);
    auto next =
        next_commit(now, now.root, remote->user(), account.client, "Changed library password\n",
                    std::max<std::int64_t>(std::time(nullptr), now.ctime + 1));
    next.encryption = *changed;
    remote->check_upload(library.id, 0);
    remote->put_commit(next);
    const auto head = remote->publish(library.id, next.id);
    // Where somebody was faster, the server has merged, and kept what it had.
    if (remote->commit(library.id, head).encryption == *changed) {
      known_keys.remember(library.id, *changed, *key);
      const RememberedLibrary remembered{
          .account = account.alias, .id = library.id.str(), .name = library.name};
      if (remembered_password(remembered)) remember_password(remembered, *fresh);
      return Exit::ok;
    }
  }
  throw Error(Errc::busy,
              options.library + ": others change it all the time; its password is as it was");
}

}  // namespace nacre
