// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <optional>
#include <ostream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "cli/confirm.hpp"
#include "cli/folders.hpp"
#include "cli/keyring.hpp"
#include "cli/logout.hpp"
#include "cli/progress.hpp"
#include "fs/control.hpp"
#include "fs/size_text.hpp"
#include "fs/unsent.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t key_digits = 16;  // after the name of a cache that belongs to another state

std::uint64_t size_of(const stdfs::path& path) {
  std::error_code none;
  if (stdfs::is_regular_file(stdfs::symlink_status(path, none)))
    return stdfs::file_size(path, none);
  std::uint64_t bytes = 0;
  for (const auto& entry : stdfs::recursive_directory_iterator(path, none))
    if (entry.is_regular_file(none)) bytes += entry.file_size(none);
  return bytes;
}

bool is_cache_of(const std::string& name, const std::string& alias) {
  if (name == alias) return true;
  const auto digits = name.substr(std::min(name.size(), alias.size() + 1));
  return name.starts_with(alias + "-") && digits.size() == key_digits &&
         digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Sockets that no daemon listens on any more, whoever left them.
void add_dead_sockets(std::vector<stdfs::path>& found) {
  std::error_code none;
  for (const auto& entry : stdfs::directory_iterator(control_path("/").parent_path(), none)) {
    if (!entry.is_socket(none)) continue;
    try {
      control_peer(entry.path());
    } catch (const Error& error) {
      if (error.code() == Errc::unreachable) found.push_back(entry.path());
    }
  }
}

std::vector<stdfs::path> traces_of(const std::string& alias) {
  std::vector<stdfs::path> found;
  std::error_code none;
  const auto config = config_folder() / "accounts";
  for (const auto& entry : stdfs::directory_iterator(config, none)) {
    const auto name = entry.path().filename().string();
    // Also what a save that was cut off has left.
    if (name == alias || name == alias + ".token" || name.starts_with(alias + ".token."))
      found.push_back(entry.path());
  }
  if (stdfs::exists(state_folder() / alias, none)) found.push_back(state_folder() / alias);
  for (const auto& entry : stdfs::directory_iterator(cache_folder(), none))
    if (is_cache_of(entry.path().filename().string(), alias)) found.push_back(entry.path());
  if (found.empty()) return found;
  std::ranges::sort(found);
  add_dead_sockets(found);
  return found;
}

// Throws Error{busy} where a daemon uses it.
std::size_t unsent_in(const stdfs::path& state_dir) {
  std::error_code none;
  if (!stdfs::exists(state_dir / "state", none)) return 0;
  // Keys are in clear: any key will do.
  State state(state_dir / "state", SealKey(Secret::random(SealKey::size)));
  std::size_t names = 0;
  for (const auto& [library, count] : unsent_names(state)) names += count;
  return names;
}

void remove(const std::string& alias, const std::vector<stdfs::path>& traces) {
  forget_in_keyring(alias);
  forget_device_key(state_folder() / alias);
  for (const auto& path : traces) {
    std::error_code error;
    stdfs::remove_all(path, error);
    if (error) throw Error(Errc::denied, path.string() + ": " + error.message());
  }
}

}  // namespace

Exit forget(const ForgetOptions& options, const Io& io) {
  check_alias(options.account);
  const auto traces = traces_of(options.account);
  if (traces.empty())
    throw Error(Errc::not_found, options.account +
                                     ": nothing of an account of this name is on this machine; "
                                     "`nacre accounts` lists those that are");
  std::size_t unsent = 0;
  try {
    unsent = unsent_in(state_folder() / options.account);
  } catch (const Error& error) {
    if (error.code() != Errc::busy) throw;
    throw Error(Errc::busy, options.account + ": is mounted; end that first with `nacre umount` (" +
                                error.what() + ")");
  }
  if (keyring::why_not().empty()) io.out << "what the keyring has of it\n";
  for (const auto& path : traces)
    io.out << path.string() << "  " << size_text(size_of(path)) << '\n';
  if (unsent > 0 && !options.force)
    throw Error(Errc::exists,
                options.account + ": " + std::to_string(unsent) +
                    (unsent == 1 ? " change was" : " changes were") +
                    " never sent; mount it and `nacre sync`, or save them with `nacre rescue`; "
                    "--force removes them for good");
  if (!options.yes && !confirmed(io, "Remove all of this? Type yes to go on:", "yes",
                                 "forget: nobody to ask; say --yes to remove what is listed")) {
    io.err << "nacre: nothing was removed\n";
    return Exit::failed;
  }
  const auto account = find_account(options.account);
  std::optional<Secret> token;
  if (account && logged_in(*account)) token = load_token(*account);
  {
    const BlockedSignals whole;  // it is done to the end
    with_progress(io.err, {.what = "forget"}, [&] { remove(options.account, traces); });
  }
  if (token) tell_server(*account, *token, io);
  return Exit::ok;
}

}  // namespace nacre
