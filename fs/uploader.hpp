// SPDX-License-Identifier: Apache-2.0
//
// The way up for contents: cut where real clients cut, encrypt, hash, ask which
// blocks the server lacks, send those in parallel.  Chunking and sending
// overlap; memory is bounded by `in_flight` bytes.
//
// One Uploader serves one batch of one library, from one thread.
#pragma once

#include <cstdint>
#include <memory>

#include "crypto/library_key.hpp"
#include "fs/depot.hpp"

namespace nacre {

// Where plaintext comes from.
class PlainSource {
 public:
  virtual ~PlainSource() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // Fills all of `out` from `offset`; throws otherwise.
  virtual void read(std::uint64_t offset, MutableByteView out) = 0;
};

class Uploader {
 public:
  // `key` null: a plain library.
  Uploader(Depot& depot, const LibraryId& library, std::shared_ptr<const LibraryKey> key,
           std::uint64_t in_flight = std::uint64_t{64} << 20U);
  ~Uploader();  // abandons what has not been sent

  // Cuts a whole file and begins to send it.  Returns its file object (to be
  // sent by the caller); its id is the empty id, without bytes, for an empty file.
  FsObject add(PlainSource& source);

  // Returns when the server has every block of every file added.  Throws the
  // first failure.
  void finish();

  [[nodiscard]] std::uint64_t bytes_sent() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
