// SPDX-License-Identifier: Apache-2.0
#include "server/connections.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <string>

#include "base/log.hpp"

namespace nacre {
namespace {

struct End {
  std::string address;
  int port = -1;
  friend bool operator==(const End&, const End&) = default;
};

// `name` is getsockname or getpeername.
template <class Name>
End end_of(int fd, Name name) {
  sockaddr_storage storage = {};
  auto size = static_cast<socklen_t>(sizeof storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> service = {};
  if (name(fd, address, &size) != 0 ||
      ::getnameinfo(address, size, host.data(), host.size(), service.data(), service.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  End end{host.data(), -1};
  std::from_chars(service.data(), std::ranges::find(service, '\0'), end.port);
  return end;
}

template <class Work>
void for_each_descriptor(Work work) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    int fd = -1;
    const auto name = entry.path().filename().string();
    std::from_chars(name.data(), name.data() + name.size(), fd);
    work(fd);
  }
}

}  // namespace

void reset_connection(const httplib::Request& request) {
  const End here{request.local_addr, request.local_port};
  const End there{request.remote_addr, request.remote_port};
  bool found = false;
  for_each_descriptor([&](int fd) {
    if (end_of(fd, ::getsockname) != here || end_of(fd, ::getpeername) != there) return;
    // Connecting to nothing is what Linux takes for the wish to reset; the descriptor
    // stays with its owner.
    sockaddr nothing = {};
    nothing.sa_family = AF_UNSPEC;
    found = ::connect(fd, &nothing, sizeof nothing) == 0;
  });
  if (!found) log::error("the connection of " + request.target + " was not found: it is not reset");
}

void hang_up(int port) noexcept try {
  for_each_descriptor([&](int fd) {
    if (end_of(fd, ::getsockname).port == port) ::shutdown(fd, SHUT_RD);
  });
} catch (const std::exception& error) {
  log::warning(error.what());  // they end when they were idle for long enough
}

}  // namespace nacre
