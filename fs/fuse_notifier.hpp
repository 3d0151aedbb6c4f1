// SPDX-License-Identifier: Apache-2.0
//
// Tells the kernel what changed, in the order it was said, from a thread of its
// own: the kernel may make that thread wait for requests which are being answered,
// so no thread that answers requests may do it.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "fs/filesystem.hpp"

struct fuse_session;

namespace nacre {

class Notifier final : public Kernel {
 public:
  explicit Notifier(fuse_session* session) : session_(session) {}

  // Any thread.  What comes after stop() is not said.
  void entry_changed(Ino parent, std::string_view name) noexcept override;
  void data_changed(Ino ino) noexcept override;

  // To be called while requests are still answered: waits for what is being said.
  void stop() noexcept;

 private:
  struct Change {
    Ino ino;
    std::optional<std::string> name;  // the entry; none: data
  };
  void add(Ino ino, std::optional<std::string_view> name) noexcept;
  void tell(const std::stop_token& stop) noexcept;

  fuse_session* const session_;
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<Change> changes_;                                                // guarded by mutex_
  bool stopped_ = false;                                                      // guarded by mutex_
  std::jthread thread_{[this](const std::stop_token& stop) { tell(stop); }};  // last in, first out
};

}  // namespace nacre
