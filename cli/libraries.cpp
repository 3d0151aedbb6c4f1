// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iomanip>
#include <ostream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/accounts.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "cli/new_password.hpp"
#include "cli/progress.hpp"
#include "crypto/random.hpp"
#include "fs/shown_text.hpp"
#include "fs/size_text.hpp"

namespace nacre {
namespace {

std::string json_of(const std::vector<LibraryInfo>& all) {
  JsonWriter json;
  json.array();
  for (const auto& library : all) {
    json.object().key("id").value(library.id.text()).key("name").value(library.name);
    json.key("owner").value(library.owner).key("encrypted").value(library.encrypted);
    json.key("writable").value(library.writable).key("size").value(library.size);
    json.key("mtime").value(library.mtime);
    json.key("head").text_or_null(library.head ? library.head->hex() : "").end();
  }
  json.end();
  return std::move(json).take();
}

// Salted, if the server says that its clients open that.  Never 3, which leaks what is alike.
int newest_encryption(const ServerAddress& server) {
  constexpr int salted = 4, of_all_clients = 2;
  return ask_server(server).encryption >= salted ? salted : of_all_clients;
}

}  // namespace

Exit libraries(const LibrariesOptions& options, const Io& io) {
  const auto remote = open_account(choose_account(options.account), false);
  auto all = with_progress(io.err, {.what = "libraries"}, [&] { return remote->libraries(); });
  std::ranges::sort(all, {}, &LibraryInfo::name);
  if (options.json) {
    io.out << json_of(all) << '\n';
    return Exit::ok;
  }
  for (const auto& library : all)
    io.out << library.id.text() << "  " << (library.encrypted ? "encrypted" : "plain    ") << "  "
           << (library.writable ? "rw" : "r ") << "  " << std::setw(10) << size_text(library.size)
           << "  " << std::setw(16) << time_text(library.mtime) << "  " << printable(library.name)
           << '\n';
  return Exit::ok;
}

Exit create_library(const CreateLibraryOptions& options, const Io& io) {
  const auto& source = options.password;
  if (!options.encrypted && (source.given.given() || source.made || source.weak))
    throw UsageError("libraries create: a password is for an --encrypted library");
  check_source(source, "libraries create");
  if (options.name.empty()) throw UsageError("libraries create: the name is empty");
  const auto account = choose_account(options.account);
  const auto remote = open_account(account, false);
  const auto working = shown_as(io.err, "libraries create");
  for (const auto& library : working([&] { return remote->libraries(); }))
    if (library.name == options.name && library.owner == remote->user())
      throw Error(Errc::exists, options.name + ": you have a library of this name; choose another");

  std::optional<LibraryKey> key;
  NewLibrary library{.id = random_library_id(), .name = options.name, .encryption = {}};
  if (options.encrypted) {
    const auto version = options.encryption != 0
                             ? options.encryption
                             : working([&] { return newest_encryption(account.server); });
    std::optional<Secret> read;
    if (source.given.given())
      read = read_one_secret(source.given, "New password of " + options.name);
    const auto password = new_password(source, std::move(read), options.name, {}, io);
    auto fresh = working([&] { return make_library_key(library.id, version, password); });
    library.encryption = std::move(fresh.encryption);
    key = std::move(fresh.key);
  }
  const auto made = working([&] { return remote->create_library(library); });
  const BlockedSignals whole;             // from here on it is done to the end
  io.out << made.id.text() << std::endl;  // it is there, whatever becomes of the rest
  if (key) known_keys_of(account, {}).remember(library.id, library.encryption, *key);
  return Exit::ok;
}

}  // namespace nacre
