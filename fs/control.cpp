// SPDX-License-Identifier: Apache-2.0
#include "fs/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <list>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;
namespace stdfs = std::filesystem;

constexpr std::size_t limit = std::size_t{1} << 20U;
constexpr std::size_t max_words = 64;
constexpr std::size_t max_callers = 64;
constexpr std::string_view magic = "NACR";
constexpr std::uint8_t version = 1;
constexpr std::chrono::seconds talk_time{10};  // for the bytes of one request or reply

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(Errc::internal, what + ": " + reason(error) + "; unmount and mount again");
}

// Where a socket is bound or reached.  A path that does not fit into sockaddr_un
// is named through its folder's descriptor.
class Address {
 public:
  explicit Address(const stdfs::path& path)
      : folder_(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    auto text = path.string();
    if (text.size() >= sizeof name_.sun_path)
      text = "/proc/self/fd/" + std::to_string(folder_.get()) + "/" + path.filename().string();
    if (text.size() >= sizeof name_.sun_path)
      throw Error(Errc::invalid, text + ": too long for a socket; set XDG_RUNTIME_DIR");
    name_.sun_family = AF_UNIX;
    std::memcpy(name_.sun_path, text.c_str(), text.size() + 1);
  }

  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&name_);
  }
  static constexpr socklen_t size = sizeof(sockaddr_un);

 private:
  Fd folder_;
  sockaddr_un name_ = {};
};

// Bytes over a socket until a moment; what does not come in time is Error{interrupted}.
class Channel {
 public:
  Channel(int fd, Clock::time_point until) : fd_(fd), until_(until) {}

  void read(MutableByteView out) {
    if (out.size() > left_) throw Error(Errc::invalid, "control socket: more than 1 MiB; refused");
    left_ -= out.size();
    while (!out.empty()) {
      wait(POLLIN);
      const auto n = ::recv(fd_, out.data(), out.size(), MSG_DONTWAIT);
      if (n == 0) throw Error(Errc::unreachable, "control socket: the other side hung up");
      if (n > 0) out = out.subspan(static_cast<std::size_t>(n));
      if (n < 0) retry_or_fail();
    }
  }

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      wait(POLLOUT);
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
      if (n < 0) retry_or_fail();
    }
  }

  std::uint8_t read_byte() {
    std::array<std::uint8_t, 1> byte{};
    read(byte);
    return byte[0];
  }

  std::uint32_t read_count() {
    std::array<std::uint8_t, 4> raw{};
    read(raw);
    return std::uint32_t{raw[0]} | std::uint32_t{raw[1]} << 8U | std::uint32_t{raw[2]} << 16U |
           std::uint32_t{raw[3]} << 24U;
  }

  std::string read_text() {
    const auto size = read_count();
    if (size > left_) throw Error(Errc::invalid, "control socket: more than 1 MiB; refused");
    std::string text(size, '\0');
    read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    return text;
  }

  std::optional<Secret> read_secret() {
    const auto size = read_count();
    if (size == 0) return std::nullopt;
    if (size > left_) throw Error(Errc::invalid, "control socket: more than 1 MiB; refused");
    Secret secret(size);
    read(secret.bytes());
    return secret;
  }

 private:
  void wait(short events) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now()).count();
    pollfd poller = {.fd = fd_, .events = events, .revents = 0};
    const int n =
        left > 0 ? ::poll(&poller, 1, static_cast<int>(std::min<long>(left, 1 << 30))) : 0;
    if (n == 0) throw Error(Errc::interrupted, "control socket: no answer in time; try again");
    if (n < 0) retry_or_fail();
  }

  static void retry_or_fail() {
    if (errno == EINTR || errno == EAGAIN) return;
    throw Error(Errc::unreachable, "control socket: " + reason(errno));
  }

  int fd_;
  Clock::time_point until_;
  std::size_t left_ = limit;
};

void append_count(Bytes& out, std::size_t count) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<std::uint8_t>(count >> shift));
}

void append_text(Bytes& out, std::string_view text) {
  append_count(out, text.size());
  const auto bytes = as_bytes(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

ControlRequest read_request(Channel& channel) {
  std::array<std::uint8_t, 4> head{};
  channel.read(head);
  if (as_text(head) != magic || channel.read_byte() != version)
    throw Error(Errc::invalid, "control socket: not a request of this version; refused");
  const auto count = channel.read_count();
  if (count == 0 || count > max_words)
    throw Error(Errc::invalid, "control socket: a request has 1 to 64 words; refused");
  ControlRequest request;
  for (std::uint32_t i = 0; i < count; ++i) request.words.push_back(channel.read_text());
  request.secret = channel.read_secret();
  return request;
}

Bytes reply_bytes(ControlReply reply) {
  if (reply.text.size() > limit - 5)
    reply = {.status = 1, .text = "control socket: the reply is longer than 1 MiB"};
  Bytes bytes = {static_cast<std::uint8_t>(reply.status)};
  append_text(bytes, reply.text);
  return bytes;
}

std::optional<ucred> peer_of(int fd) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

bool is_this_user(const ucred& peer) { return peer.uid == ::geteuid() || peer.uid == 0; }

stdfs::path runtime_folder() {
  const char* set = std::getenv("XDG_RUNTIME_DIR");
  if (set != nullptr && set[0] == '/') return stdfs::path(set) / "nacre";
  return "/tmp/nacre-" + std::to_string(::geteuid());
}

// The folder must be ours alone: in /tmp anybody could have made it first.
void make_runtime_folder(const stdfs::path& folder) {
  std::error_code ignored;  // what counts is the check below
  stdfs::create_directories(folder.parent_path(), ignored);
  ::mkdir(folder.c_str(), 0700);
  struct stat st = {};
  if (::lstat(folder.c_str(), &st) != 0)
    throw Error(Errc::invalid, folder.string() + ": " + reason(errno) + "; set XDG_RUNTIME_DIR");
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 077U) != 0)
    throw Error(Errc::denied, folder.string() +
                                  ": not a folder of this user alone; remove it, or set "
                                  "XDG_RUNTIME_DIR");
}

Fd new_socket() {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) fail("control socket", errno);
  return fd;
}

bool connect_to(const Fd& fd, const stdfs::path& socket) {
  const Address address(socket);
  return ::connect(fd.get(), address.get(), Address::size) == 0;
}

Fd connected(const stdfs::path& socket) {
  auto fd = new_socket();
  if (!connect_to(fd, socket))
    throw Error(Errc::unreachable, "no mount answers here; mount it with `nacre mount`");
  return fd;
}

}  // namespace

int exit_status(Errc code) noexcept {
  switch (code) {
    case Errc::denied:
    case Errc::wrong_password: return 3;
    case Errc::unreachable: return 4;
    default: return 1;
  }
}

stdfs::path control_path(const stdfs::path& mountpoint) {
  const auto id = sha1(as_bytes(mountpoint.lexically_normal().string())).hex();
  return runtime_folder() / (id.substr(0, 16) + ".sock");
}

struct ControlServer::Impl {
  Impl(stdfs::path path, Handler handler)
      : socket(std::move(path)),
        handle(std::move(handler)),
        listener(new_socket()),
        stop(::eventfd(0, EFD_CLOEXEC)) {
    if (stop.get() < 0) fail("control socket", errno);
    make_runtime_folder(socket.parent_path());
    if (connect_to(new_socket(), socket))
      throw Error(Errc::busy, socket.string() + ": another mount answers here; unmount it first");
    ::unlink(socket.c_str());  // left by a mount that was killed
    const Address address(socket);
    if (::bind(listener.get(), address.get(), Address::size) != 0) fail(socket.string(), errno);
    // Nobody else reaches it before this line either: the folder is 0700.
    if (::chmod(socket.c_str(), 0600) != 0) fail(socket.string(), errno);
    if (::listen(listener.get(), 16) != 0) fail(socket.string(), errno);
    acceptor = std::jthread([this] { accept_all(); });
  }

  ~Impl() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto woken = ::write(stop.get(), &one, sizeof one);
    acceptor.join();
    ::unlink(socket.c_str());
    // A caller that is still sending gets no answer; a reply on its way is finished.
    for (auto& caller : callers) ::shutdown(caller.fd.get(), SHUT_RD);
  }

  void accept_all() {
    for (;;) {
      std::vector<pollfd> pollers = {{listener.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
      for (const auto& caller : callers)
        if (!caller.gone.stop_requested()) pollers.push_back({caller.fd.get(), POLLRDHUP, 0});
      if (::poll(pollers.data(), pollers.size(), -1) < 0 && errno != EINTR) return;
      if (pollers[1].revents != 0) return;
      for (auto& caller : callers)
        if (hung_up(pollers, caller.fd.get())) caller.gone.request_stop();
      if (pollers[0].revents != 0) accept_one();
    }
  }

  static bool hung_up(std::span<const pollfd> pollers, int fd) {
    return std::ranges::any_of(
        pollers, [fd](const pollfd& poller) { return poller.fd == fd && poller.revents != 0; });
  }

  void accept_one() {
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::erase_if(callers, [](const Caller& caller) { return caller.done.load(); });
    const auto peer = peer_of(fd.get());
    if (!peer || !is_this_user(*peer) || callers.size() >= max_callers) return;
    auto& caller = callers.emplace_back(std::move(fd));
    caller.thread = std::jthread([this, &caller, pid = peer->pid] {
      converse(caller, pid);
      ::shutdown(caller.fd.get(), SHUT_RDWR);
      caller.done = true;
    });
  }

  struct Caller {
    explicit Caller(Fd connection) : fd(std::move(connection)) {}
    Fd fd;
    std::stop_source gone;  // requested when it has hung up
    std::atomic<bool> done = false;
    std::jthread thread;
  };

  void converse(const Caller& caller, pid_t pid) const noexcept {
    const int fd = caller.fd.get();
    try {
      ControlReply reply;
      try {
        Channel asked(fd, Clock::now() + talk_time);
        auto request = read_request(asked);
        request.caller = pid;
        request.gone = caller.gone.get_token();
        reply = handle(std::move(request));
      } catch (const Error& e) {
        reply = {.status = exit_status(e.code()), .text = e.what()};
      }
      Channel(fd, Clock::now() + talk_time).write(reply_bytes(std::move(reply)));
    } catch (const std::exception& e) {  // the caller is gone, or memory is
      log::debug(e.what());
    }
  }

  stdfs::path socket;
  Handler handle;
  Fd listener, stop;
  std::list<Caller> callers;  // the acceptor's, until it has ended
  std::jthread acceptor;
};

ControlServer::ControlServer(const stdfs::path& socket, Handler handler)
    : impl_(std::make_unique<Impl>(socket, std::move(handler))) {}

ControlServer::~ControlServer() = default;

pid_t control_peer(const stdfs::path& socket) {
  const auto fd = connected(socket);
  const auto peer = peer_of(fd.get());
  if (!peer) fail("control socket", errno);
  return peer->pid;
}

ControlReply control_call(const stdfs::path& socket, const ControlRequest& request,
                          std::chrono::seconds timeout) {
  const auto fd = connected(socket);
  Bytes bytes(magic.begin(), magic.end());
  bytes.push_back(version);
  append_count(bytes, request.words.size());
  for (const auto& word : request.words) append_text(bytes, word);
  append_count(bytes, request.secret ? request.secret->bytes().size() : 0);

  Channel channel(fd.get(), Clock::now() + timeout);
  channel.write(bytes);
  if (request.secret) channel.write(request.secret->bytes());  // from its own memory, uncopied
  ControlReply reply;
  reply.status = channel.read_byte();
  reply.text = channel.read_text();
  return reply;
}

}  // namespace nacre
