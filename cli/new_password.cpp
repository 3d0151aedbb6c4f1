// SPDX-License-Identifier: Apache-2.0
#include "cli/new_password.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <ostream>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/password_strength.hpp"

namespace nacre {
namespace {

void write_all(int fd, ByteView bytes, const std::string& what) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR)
      throw Error(Errc::invalid, what + ": the descriptor that it is shown on takes nothing");
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

}  // namespace

void show_password(const Secret& password, const std::optional<int>& fd, const std::string& what) {
  const Fd terminal(fd ? -1 : ::open("/dev/tty", O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd && terminal.get() < 0)
    throw Error(Errc::invalid, what + ": no terminal to show it on; use --show-fd");
  const int to = fd ? *fd : terminal.get();
  if (!fd) write_all(to, as_bytes(what + ": "), what);
  write_all(to, password.bytes(), what);
  write_all(to, as_bytes("\n"), what);
}

void check_source(const NewPasswordSource& source, const std::string& command) {
  if (source.show_fd && !source.made)
    throw UsageError(command + ": --show-fd is for --generate-password");
  if (source.weak && source.made)
    throw UsageError(command + ": a password that is made is not weak");
}

Secret new_password(const NewPasswordSource& source, std::optional<Secret> given,
                    const std::string& library, const Encryption& how, const Io& io) {
  const auto prompt = "New password of " + library;
  if (source.made) {
    auto password = make_password();
    show_password(password, source.show_fd, prompt);
    return password;
  }
  auto password = given ? std::move(*given) : ask_new_secret(prompt);
  if (!source.weak) check_strength(library, password, how);
  if (::isatty(STDERR_FILENO) != 0)
    io.err << "nacre: " << library << ": who has what the server has can make "
           << strength_text(strength_of(password, how)) << '\n';
  return password;
}

}  // namespace nacre
