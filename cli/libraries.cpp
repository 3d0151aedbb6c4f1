// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iomanip>
#include <ostream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"
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

}  // namespace

Exit libraries(const LibrariesOptions& options, const Io& io) {
  const auto remote = open_account(choose_account(options.account), false);
  auto all = remote->libraries();
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
  if (!options.encrypted && options.password.given())
    throw UsageError("libraries create: a password is for an --encrypted library");
  if (options.name.empty()) throw UsageError("libraries create: the name is empty");
  const auto account = choose_account(options.account);
  const auto remote = open_account(account, false);
  for (const auto& library : remote->libraries())
    if (library.name == options.name && library.owner == remote->user())
      throw Error(Errc::exists, options.name + ": you have a library of this name; choose another");

  NewLibrary library{.id = random_library_id(), .name = options.name, .encryption = {}};
  if (options.encrypted) {
    const auto prompt = "New password of " + options.name;
    const auto password = options.password.given() ? read_one_secret(options.password, prompt)
                                                   : ask_new_secret(prompt);
    library.encryption = make_library_key(library.id, options.encryption, password).encryption;
  }
  const auto made = remote->create_library(library);
  io.out << made.id.text() << '\n';
  return Exit::ok;
}

}  // namespace nacre
