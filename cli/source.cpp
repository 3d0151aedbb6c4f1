// SPDX-License-Identifier: Apache-2.0
#include "cli/source.hpp"

#include <utility>

#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/library_password.hpp"
#include "crypto/hash.hpp"
#include "remote/directory_remote.hpp"

namespace nacre {

namespace stdfs = std::filesystem;

Source find_source(const std::string& given, const std::optional<stdfs::path>& ca_file) {
  Source source;
  if (given.starts_with("dir:")) {
    if (ca_file) throw UsageError("mount: -o ca-file is for a server, not for a folder");
    source.folder = stdfs::weakly_canonical(stdfs::absolute(given.substr(4)));
    source.shown = "dir:" + source.folder.string();
    source.name = "dir-" + sha1(as_bytes(source.folder.string())).hex().substr(0, 16);
    return source;
  }
  source.account = choose_account(given);
  if (ca_file) source.account->server.ca_file = ca_file;
  source.shown = source.account->server.url + "/";
  source.name = source.account->alias;
  return source;
}

std::unique_ptr<Remote> open_source(const Source& source, bool unverified_blocks) {
  return source.account ? open_account(*source.account, unverified_blocks)
                        : open_directory_remote(source.folder);
}

ObjectId client_of(const Source& source) {
  return source.account ? source.account->client : sha1(as_bytes(host_name()));
}

stdfs::path state_dir_of(const Source& source, const std::string& given) {
  return given.empty() ? state_folder() / source.name : stdfs::absolute(given);
}

// A cache belongs to a state, whose key seals it: another state gets another cache.
stdfs::path cache_dir_of(const Source& source, const std::string& given,
                         const std::string& given_state) {
  if (!given.empty()) return stdfs::absolute(given);
  if (given_state.empty()) return cache_folder() / source.name;
  const auto state = stdfs::absolute(given_state).lexically_normal().string();
  return cache_folder() / (source.name + "-" + sha1(as_bytes(state)).hex().substr(0, 16));
}

std::vector<LibraryPassword> read_passwords(std::vector<std::string> unlock,
                                            const PasswordSource& source,
                                            const std::string& account) {
  if (unlock.empty() && source.given()) unlock.emplace_back();
  std::vector<LibraryPassword> passwords;
  std::vector<std::string> prompts;
  for (auto& name : unlock) {
    auto known = source.given() ? std::nullopt
                                : remembered_password({.account = account, .id = "", .name = name});
    if (!known) prompts.push_back("Password of " + (name.empty() ? "the encrypted library" : name));
    passwords.push_back(
        {.library = std::move(name), .password = known ? *std::move(known) : Secret(0)});
  }
  auto secrets = read_secrets(source, prompts);
  auto next = secrets.begin();
  for (auto& each : passwords)
    if (each.password.bytes().empty()) each.password = std::move(*next++);
  return passwords;
}

}  // namespace nacre
