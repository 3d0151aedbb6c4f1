// SPDX-License-Identifier: Apache-2.0
//
// Where the key is that seals what is kept on this machine.
#include <fcntl.h>
#include <sys/file.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/accounts.hpp"
#include "cli/folders.hpp"
#include "cli/keyring.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

// Instead of a key in its file: where that is.
constexpr std::string_view in_keyring = "keyring\n", in_credential = "credential\n";
constexpr const char* credential_name = "nacre.device-key";

stdfs::path file_of(const stdfs::path& state_dir) { return state_dir / "device.key"; }

keyring::Item item_of(const stdfs::path& state_dir) {
  return {.what = "device key",
          .account = "",
          .of = stdfs::absolute(state_dir).lexically_normal().string(),
          .name = ""};
}

[[noreturn]] void cannot_open(const stdfs::path& state_dir, const std::string& why,
                              const std::string& advice) {
  throw Error(Errc::denied,
              state_dir.string() + ": the key that opens it is " + why + "; " + advice);
}

SealKey checked(Secret key, const stdfs::path& from) {
  if (key.bytes().size() == SealKey::size) return SealKey(std::move(key));
  throw Error(Errc::corrupt, from.string() +
                                 ": not a key; what it sealed cannot be opened, "
                                 "move the folder away to start anew");
}

std::optional<Secret> credential() {
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  return folder == nullptr ? std::nullopt : read_secret_file(stdfs::path(folder) / credential_name);
}

SealKey from_keyring(const stdfs::path& state_dir) {
  if (auto key = keyring::find(item_of(state_dir)))
    return checked(*std::move(key), file_of(state_dir));
  const auto why = keyring::why_not();
  cannot_open(state_dir, "in the keyring of your session",
              why.empty() ? "it has it no more: move the folder away to start anew"
                          : "that cannot be asked (" + why + "): unlock it, or mount from there");
}

SealKey from_credential(const stdfs::path& state_dir) {
  if (auto key = credential()) return checked(*std::move(key), file_of(state_dir));
  cannot_open(state_dir, "a credential of systemd, which was not given",
              std::string("have the unit load ") + credential_name);
}

SealKey make_key(const stdfs::path& state_dir) {
  const auto file = file_of(state_dir);
  if (auto given = credential()) {
    auto key = checked(*std::move(given), credential_name);
    write_private_file(file, as_bytes(in_credential));
    return key;
  }
  auto key = Secret::random(SealKey::size);
  const auto label = "nacre: device key of " + state_dir.string();
  if (keyring::store(item_of(state_dir), label, key))
    write_private_file(file, as_bytes(in_keyring));
  else
    write_private_file(file, key.bytes());
  return SealKey(std::move(key));
}

}  // namespace

SealKey device_key(const stdfs::path& state_dir) {
  const auto file = file_of(state_dir);
  auto kept = read_secret_file(file);
  if (!kept) {
    // Two that are the first at once must not make two.
    make_private_folder(state_dir);
    const Fd folder(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ::flock(folder.get(), LOCK_EX);
    kept = read_secret_file(file);
    if (!kept) return make_key(state_dir);
  }
  if (as_text(kept->bytes()) == in_keyring) return from_keyring(state_dir);
  if (as_text(kept->bytes()) == in_credential) return from_credential(state_dir);
  return checked(*std::move(kept), file);
}

std::string device_key_place(const stdfs::path& state_dir) {
  const auto file = file_of(state_dir);
  const auto kept = read_secret_file(file);
  if (kept && as_text(kept->bytes()) == in_keyring)
    return "in the keyring of your session: it opens when you log in";
  if (kept && as_text(kept->bytes()) == in_credential)
    return std::string("a credential that systemd gives, ") + credential_name;
  return "in " + file.string() + ", for you only to read; who steals the whole disk has it";
}

void forget_device_key(const stdfs::path& state_dir) { keyring::erase(item_of(state_dir)); }

}  // namespace nacre
