// SPDX-License-Identifier: Apache-2.0
//
// The plaintext of one published file, at any offset, in any order.  Knows or
// finds out where blocks begin (plain libraries: block_sizes; encrypted ones
// record only ciphertext lengths, so a border is known once the padding of the
// blocks before it, or of those after it, has been seen; seafile-protocol 2.5), reads ahead for
// sequential readers, and decrypts no more than is asked for.
//
// Any thread may call any member; read() may wait (see Depot) and throws what
// Depot throws, and Error{corrupt} where blocks and size do not agree.
#pragma once

#include <memory>

#include "crypto/library_key.hpp"
#include "fs/depot.hpp"

namespace nacre {

class FileReader {
 public:
  // `key` null: a plain library.  `size`: as the dirent says; checked against the file object.
  FileReader(Depot& depot, const LibraryId& library, std::shared_ptr<const LibraryKey> key,
             const ObjectId& file, std::uint64_t size);
  ~FileReader();

  // Fills `out` from `offset`; the result is shorter only at the end of the file.
  std::size_t read(std::uint64_t offset, MutableByteView out);

  [[nodiscard]] std::uint64_t size() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // with what is being made ready
};

}  // namespace nacre
