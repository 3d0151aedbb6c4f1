// SPDX-License-Identifier: Apache-2.0
//
// The whole program as a function, so that a test can run it.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>

namespace nacre {

struct Io {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

// Listed in nacre(1), EXIT STATUS; a number, once given, keeps its meaning.
enum class Exit : int { ok = 0, failed = 1, usage = 2, denied = 3, unreachable = 4 };

// Output for people and scripts goes to `out`, "nacre: what: why; what to do" to `err`.
// Throws nothing.  Has no threads when it begins: mount and demo fork.
Exit run(std::span<const std::string> args, const Io& io);

// Runs a command's work: what it throws is said on `io.err`, and becomes its exit status.
Exit as_exit(const Io& io, const std::function<Exit()>& work) noexcept;

// No core dumps and no reading of this process by others of the same user.
void keep_memory_private() noexcept;

}  // namespace nacre
