// SPDX-License-Identifier: Apache-2.0
//
// What must not be lost: unsent changes and the heads they build on.  An
// ordered map from keys to sealed values in an LMDB environment of its own.
// Keys are stored in clear: callers put numbers and tag()s in them, never names.
//
// Writing has two halves, so that no lock of the caller's is held over I/O:
// stage() queues changes in the order of the calls and only takes memory;
// commit() returns when everything up to a ticket is in the environment (a
// killed process loses nothing of it), many callers sharing one transaction;
// sync() also brings it to the disk (a power cut loses nothing: the environment is
// put back to the last sync then, whatever of later commits has reached the disk;
// cache/state_files.hpp).  What is committed is synced after a few seconds anyway.
//
// Any thread may call any member.  commit() and sync() throw Error{full} when
// the disk is; what was staged stays staged and is tried again by the next call,
// and every few seconds.
// Locked against a second process: the constructor throws Error{busy}.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/seal.hpp"

namespace nacre {

class State {
 public:
  struct Change {
    Bytes key;                   // up to 500 bytes
    std::optional<Bytes> value;  // plaintext, sealed on the way in; nullopt: erase
  };
  using Ticket = std::uint64_t;

  State(const std::filesystem::path& dir, SealKey key);
  ~State();

  Ticket stage(std::vector<Change> changes);  // all of one call, or none of it
  void commit(Ticket ticket);
  void commit_staged();  // all that there is
  void sync();

  // As committed or staged: get() sees what stage() has taken.
  // Throws Error{corrupt} where a value does not open.
  std::optional<Bytes> get(ByteView key);

  // Calls `visit` for all committed keys that begin with `prefix`, in order;
  // opened values.  Used at start, before anything is staged.
  void scan(ByteView prefix, const std::function<void(ByteView key, ByteView value)>& visit);

  // The same without the values, which are not even opened.
  void scan_keys(ByteView prefix, const std::function<void(ByteView key)>& visit);

  // What stage() has taken and no transaction has yet.
  [[nodiscard]] std::uint64_t staged_bytes() const;

  // Throws Error{full} where the disk has no room for a change of so many bytes: to be asked
  // before one is made, for what is staged cannot be taken back, and all later changes wait for it.
  void check_room(std::uint64_t bytes = 0) const;

  // Everything committed, as it was when snapshot() was called, however much is
  // committed meanwhile.  For one thread at a time; holds room in the file until it goes.
  class Snapshot {
   public:
    [[nodiscard]] std::optional<Bytes> get(ByteView key) const;
    // The same, its first bytes into `head` and the others into `rest`: false where it is not
    // there, or of another size.
    [[nodiscard]] bool get(ByteView key, MutableByteView head, MutableByteView rest) const;
    void scan_keys(ByteView prefix, const std::function<void(ByteView key)>& visit) const;

   private:
    friend class State;
    struct View;
    explicit Snapshot(std::shared_ptr<const View> view) : view_(std::move(view)) {}
    std::shared_ptr<const View> view_;
  };
  [[nodiscard]] Snapshot snapshot() const;

  [[nodiscard]] std::array<std::uint8_t, 16> tag(ByteView name) const;

 private:
  struct Store;
  std::unique_ptr<Store> store_;
};

}  // namespace nacre
