// SPDX-License-Identifier: Apache-2.0
//
// Key material.  Lives in locked memory between guard pages, is wiped when it
// goes, can be moved (and is empty then) but not copied, and cannot be printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>

#include "base/bytes.hpp"

namespace nacre {

class Secret {
 public:
  explicit Secret(std::size_t size);  // filled by its maker, through bytes()
  static Secret random(std::size_t size);
  static Secret copy_of(ByteView bytes);  // the caller wipes the original

  [[nodiscard]] MutableByteView bytes() noexcept;
  [[nodiscard]] ByteView bytes() const noexcept;
  [[nodiscard]] Secret clone() const;

  // Takes the same time wherever the two differ.
  friend bool operator==(const Secret& a, const Secret& b) noexcept;
  friend std::ostream& operator<<(std::ostream&, const Secret&) = delete;

 private:
  struct Wipe {
    void operator()(std::uint8_t* p) const noexcept;
  };
  std::unique_ptr<std::uint8_t[], Wipe> data_;
  std::size_t size_;
};

// Overwrites what a password or key was read into, in a way that the compiler keeps.
void wipe(MutableByteView bytes) noexcept;

}  // namespace nacre
