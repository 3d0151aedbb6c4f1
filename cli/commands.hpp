// SPDX-License-Identifier: Apache-2.0
//
// The subcommands: what each was asked for, and the function that does it, in
// the file of its name.  app.cpp fills the options from the command line.
// Each may throw Error, and UsageError for what no server needs to be asked about.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/app.hpp"
#include "cli/password.hpp"

namespace nacre {

// The command line asks for something that cannot be; exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where the password of a library that is to get one comes from.
struct NewPasswordSource {
  PasswordSource given;
  bool weak = false;           // also one that is easy to guess
  bool made = false;           // by chance
  std::optional<int> show_fd;  // where it is written to; else to the terminal
};

struct LoginOptions {
  std::string url, user, account, one_time_code, ca_file;
  PasswordSource password;
  std::optional<int> token_fd;
  bool insecure_http = false, browser = false;
};
Exit login(const LoginOptions& options, const Io& io);

struct LogoutOptions {
  std::string account;
};
Exit logout(const LogoutOptions& options, const Io& io);

struct AccountsOptions {
  bool json = false;
};
Exit list_accounts(const AccountsOptions& options, const Io& io);

struct LibrariesOptions {
  std::string account;
  bool json = false;
};
Exit libraries(const LibrariesOptions& options, const Io& io);

struct CreateLibraryOptions {
  std::string account, name;
  bool encrypted = false;
  int encryption = 0;  // 0: the newest that is safe and that the server's clients open
  NewPasswordSource password;
};
Exit create_library(const CreateLibraryOptions& options, const Io& io);

struct RenameLibraryOptions {
  std::string account, library, new_name;
};
Exit rename_library(const RenameLibraryOptions& options, const Io& io);

struct DeleteLibraryOptions {
  std::string account, library;
  bool yes = false;
};
Exit delete_library(const DeleteLibraryOptions& options, const Io& io);

struct LibraryPasswordOptions {
  std::string account, library, state_dir;
  NewPasswordSource password;  // its source: of the old one, and of the new one
};
Exit library_password(const LibraryPasswordOptions& options, const Io& io);

struct MakePasswordOptions {
  std::optional<int> show_fd;
};
Exit make_password(const MakePasswordOptions& options, const Io& io);

struct ForgetOptions {
  std::string account;
  bool yes = false, force = false;
};
Exit forget(const ForgetOptions& options, const Io& io);

struct DoctorOptions {
  std::string account;  // empty: all
  bool json = false;
};
Exit doctor(const DoctorOptions& options, const Io& io);

struct MountOptions {
  std::vector<std::string> places;  // [SOURCE] MOUNTPOINT
  std::vector<std::string> libraries, unlock, options;
  bool foreground = false, read_only = false, lock_on_sleep = false;
  bool remember_password = false;
  bool sloppy = false;  // options that nobody knows are left out
  std::string cache_dir, state_dir, fsync;
  PasswordSource password;
};
Exit mount(const MountOptions& options, const Io& io);

// `mount.nacre SOURCE DIR [-sfnv] [-o OPTIONS]`, as mount(8) calls it.
Exit mount_helper(std::span<const std::string> args, const Io& io);

struct UnlockOptions {
  std::string mountpoint, library;
  bool accept_new_key = false, remember_password = false;
  PasswordSource password;
};
Exit unlock(const UnlockOptions& options, const Io& io);

struct LockOptions {
  std::string mountpoint, library;  // no library: all of them
  bool forget = false;              // also what the keyring has
};
Exit lock(const LockOptions& options, const Io& io);

struct SyncOptions {
  std::string mountpoint;
  bool wait = false, accept_rollback = false, confirm_deletes = false;
  int timeout = 600;  // seconds
};
Exit sync(const SyncOptions& options, const Io& io);

struct StatusOptions {
  std::string mountpoint;
  bool json = false, metrics = false, watch = false;
};
Exit status(const StatusOptions& options, const Io& io);

struct WhyOptions {
  std::string path;
  bool json = false;
};
Exit why(const WhyOptions& options, const Io& io);

struct PrivacyOptions {
  std::string path;
  bool json = false;
};
Exit privacy(const PrivacyOptions& options, const Io& io);

struct BenchOptions {
  std::string account, library, upload;
  bool yes = false, json = false;
};
Exit bench(const BenchOptions& options, const Io& io);

struct PinOptions {
  std::vector<std::string> paths;
  bool no_wait = false;
};
Exit pin(const PinOptions& options, const Io& io);

struct UnpinOptions {
  std::vector<std::string> paths;
};
Exit unpin(const UnpinOptions& options, const Io& io);

struct EvictOptions {
  std::vector<std::string> paths;
};
Exit evict(const EvictOptions& options, const Io& io);

struct HistoryOptions {
  std::string path, before;
  int limit = 20;
  bool json = false;
};
Exit history(const HistoryOptions& options, const Io& io);

struct RestoreOptions {
  std::string path, at, to;
};
Exit restore(const RestoreOptions& options, const Io& io);

struct DuOptions {
  std::string path;
  bool json = false;
};
Exit du(const DuOptions& options, const Io& io);

struct UmountOptions {
  std::string mountpoint;
  int timeout = 30;  // seconds
};
Exit umount(const UmountOptions& options, const Io& io);

struct RescueOptions {
  std::string source, folder;
  std::vector<std::string> unlock;
  std::string cache_dir, state_dir;
  PasswordSource password;
  bool json = false;
};
Exit rescue(const RescueOptions& options, const Io& io);

struct ServeOptions {
  std::string folder, listen, tls_cert, tls_key, faults, add_user;
  PasswordSource password;
};
Exit serve(const ServeOptions& options, const Io& io);

struct DemoOptions {};
Exit demo(const DemoOptions& options, const Io& io);

}  // namespace nacre
