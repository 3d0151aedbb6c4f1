// SPDX-License-Identifier: Apache-2.0
//
// libraries rename, delete and passwd.
#include <algorithm>
#include <ctime>
#include <ostream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "cli/confirm.hpp"
#include "cli/library_password.hpp"
#include "cli/mount_status.hpp"
#include "cli/new_password.hpp"
#include "cli/progress.hpp"
#include "fs/mountpoint.hpp"
#include "fs/shown_text.hpp"

namespace nacre {
namespace {

constexpr int publish_tries = 5;  // against others who change the library meanwhile

// What mounts here have of a library and its server has not; empty: nothing.
std::string unsent_text(const std::string& id) {
  std::uint64_t names = 0;
  for (const auto& mountpoint : mounts_of_nacre()) {
    try {
      for (const auto& library : ask_status(mountpoint, std::chrono::seconds(5)).libraries)
        if (library.id == id) names += library.pending_names;
    } catch (const Error&) {
      // Who does not answer cannot be asked.
    }
  }
  if (names == 0) return {};
  return counted(names, "change", "changes") + " made here " + (names == 1 ? "was" : "were") +
         " never sent, and cannot be then; `nacre rescue` saves what was written";
}

}  // namespace

Exit rename_library(const RenameLibraryOptions& options, const Io& io) {
  if (const auto* fault = name_fault(options.new_name))
    throw UsageError("libraries rename: the new name " + std::string(fault));
  const auto remote = open_account(choose_account(options.account), false);
  const auto working = shown_as(io.err, "libraries rename");
  const auto all = working([&] { return remote->libraries(); });
  if (std::ranges::any_of(all, [&](const LibraryInfo& library) {
        return library.name == options.new_name && library.owner == remote->user();
      }))
    throw Error(Errc::exists,
                options.new_name + ": you have a library of this name; choose another");
  const auto library = working([&] { return choose_library(*remote, options.library); });
  working([&] { remote->rename_library(library.id, options.new_name); });
  return Exit::ok;
}

Exit delete_library(const DeleteLibraryOptions& options, const Io& io) {
  const auto remote = open_account(choose_account(options.account), false);
  const auto working = shown_as(io.err, "libraries delete");
  const auto library = working([&] { return choose_library(*remote, options.library); });
  const auto name = printable(library.name);
  const auto unsent = working([&] { return unsent_text(library.id.str()); });
  if (options.yes && !unsent.empty()) io.err << "nacre: " << name << ": " << unsent << '\n';
  if (!options.yes &&
      !confirmed(io,
                 "Library " + name + " (" + library.id.str() +
                     ") and all its history are deleted " + "on the server, for everybody.\n" +
                     (unsent.empty() ? "" : unsent + ".\n") + "Type its name to go on:",
                 library.name, "libraries delete: nobody to ask; say --yes to delete " + name)) {
    io.err << "nacre: nothing was deleted\n";
    return Exit::failed;
  }
  working([&] { remote->delete_library(library.id); });
  return Exit::ok;
}

// The server keeps the wrapped key in the library's head: it is put there wrapped anew, by a
// commit of the same tree, and the server never hears a password.
Exit library_password(const LibraryPasswordOptions& options, const Io& io) {
  const auto account = choose_account(options.account);
  const auto remote = open_account(account, false);
  const auto working = shown_as(io.err, "libraries passwd");
  const auto library = working([&] { return choose_library(*remote, options.library); });
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
    const auto now = working([&] { return remote->commit(library.id, remote->head(library.id)); });
    known_keys.check(library.id, options.library, now.encryption);
    const auto key = working([&] { return unlock(library.id, now.encryption, passwords[0]); });
    if (!key)
      throw Error(Errc::wrong_password, options.library + ": wrong password; nothing was changed");
    known_keys.check_accepted(library.id, options.library, now.encryption, *key);
    if (!fresh) {
      std::optional<Secret> read;
      if (passwords.size() > 1) read = std::move(passwords[1]);
      fresh = new_password(options.password, std::move(read), options.library, now.encryption, io);
    }
    const auto changed =
        working([&] { return change_password(library.id, now.encryption, passwords[0], *fresh); });
    // A mount that sees it before we hear of it takes it over.
    known_keys.remember(library.id, now.encryption, *key, *changed);
    auto next =
        next_commit(now, now.root, remote->user(), account.client, "Changed library password\n",
                    std::max<std::int64_t>(std::time(nullptr), now.ctime + 1));
    next.encryption = *changed;
    const auto head = working([&] {
      remote->check_upload(library.id, 0);
      remote->put_commit(next);
      return remote->publish(library.id, next.id);
    });
    // Where somebody was faster, the server has merged, and kept what it had.
    const auto as_it_is = working([&] { return remote->commit(library.id, head); });
    if (as_it_is.encryption == *changed) {
      const BlockedSignals whole;  // from here on it is done to the end
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
