// SPDX-License-Identifier: Apache-2.0
#include "cli/library_password.hpp"

#include <algorithm>
#include <chrono>
#include <sstream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/keyring.hpp"
#include "cli/mounts.hpp"
#include "cli/source.hpp"

namespace nacre {
namespace {

keyring::Item item_of(const RememberedLibrary& library) {
  return {.what = "library password",
          .account = library.account,
          .of = library.id,
          .name = library.name};
}

// The account's alias, or what else its folders are called.
std::string account_of(const std::string& source, const std::string& user) {
  if (source.starts_with("dir:")) return find_source(source, std::nullopt).name;
  for (const auto& account : accounts())
    if (account.server.url + "/" == source && account.user == user) return account.alias;
  throw Error(Errc::not_found, source + ": its account is not on this machine any more");
}

}  // namespace

RememberedLibrary library_of_mount(const std::filesystem::path& mountpoint,
                                   const std::string& library) {
  std::istringstream lines(
      answer_of(mountpoint, {"library", library}, std::chrono::minutes(1), Errc::not_found));
  RememberedLibrary found;
  std::string source, user;
  std::getline(lines, found.id);
  std::getline(lines, found.name);
  std::getline(lines, source);
  std::getline(lines, user);
  found.account = account_of(source, user);
  return found;
}

void check_can_remember() {
  if (const auto why = keyring::why_not(); !why.empty())
    throw Error(Errc::unsupported, "--remember-password: there is no keyring (" + why +
                                       "); log in on a desktop, or give it each time");
}

void remember_password(const RememberedLibrary& library, const Secret& password) {
  if (!keyring::store(item_of(library), "nacre: password of library " + library.name, password))
    throw Error(Errc::unsupported, library.name + ": the keyring does not take its password");
}

std::optional<Secret> remembered_password(const RememberedLibrary& library) {
  auto item = item_of(library);
  if (!library.id.empty()) item.name.clear();  // it may have been renamed
  if (auto found = keyring::find(item)) return found;
  if (!library.id.empty()) return std::nullopt;
  std::swap(item.of, item.name);  // it may be an id that was given as a name
  return keyring::find(item);
}

void forget_password(const RememberedLibrary& library) {
  auto item = item_of(library);
  item.name.clear();
  keyring::erase(item);
}

}  // namespace nacre
