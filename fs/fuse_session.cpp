// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_session.hpp"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/guarded.hpp"
#include "base/log.hpp"
#include "fs/fuse_notifier.hpp"
#include "fs/fuse_ops.hpp"
#include "fs/fuse_request.hpp"
#include "fs/fusermount.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

constexpr unsigned reading_threads = 10;
constexpr std::size_t waiting_threads = 64;
constexpr int nudge = SIGUSR2;  // takes the serving thread out of its sleep

Guarded<std::string> last_words;  // of libfuse

void keep_words(fuse_log_level, const char* format, va_list arguments) {
  std::array<char, 512> text = {};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string line = text.data();
  while (!line.empty() && line.back() == '\n') line.pop_back();
  log::debug(line);
  last_words.with([&](std::string& words) { words = std::move(line); });
}

std::vector<std::string> mount_options(const SessionOptions& options) {
  std::vector<std::string> words = {"subtype=nacre", "fsname=" + options.source,
                                    options.read_only ? "ro" : "rw"};
  if (options.check_modes) words.emplace_back("default_permissions");
  words.insert(words.end(), options.fuse_options.begin(), options.fuse_options.end());
  return words;
}

fuse_session* new_session(FuseSide& side, const std::vector<std::string>& options) {
  std::vector<std::string> words = {"nacre"};
  for (const auto& option : options) words.insert(words.end(), {"-o", escaped_option(option)});
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  auto* session = fuse_session_new(&args, &fuse_ops(), sizeof(fuse_lowlevel_ops), &side);
  fuse_opt_free_args(&args);
  return session;
}

// libfuse's, while it is mounted.
class Session {
 public:
  Session(FuseSide& side, const SessionOptions& options) : mountpoint_(options.mountpoint) {
    fuse_set_log_func(keep_words);
    const auto words = mount_options(options);
    session_.reset(new_session(side, words));
    if (!session_)
      throw Error(Errc::invalid, "mount options: " + words_said() + "; check what follows -o");
    by_helper_ = has_fusermount_helper();
    const auto where = by_helper_ ? mounted_by_helper(words) : mountpoint_.string();
    if (fuse_session_mount(session_.get(), where.c_str()) != 0)
      throw Error(Errc::denied, mountpoint_.string() + ": cannot mount: " + words_said() +
                                    "; is fuse3 installed and /dev/fuse there for you?");
  }
  ~Session() { unmount(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] fuse_session* get() const noexcept { return session_.get(); }

  // Who still has something open gets errors from now on.
  void unmount() noexcept {
    fuse_session_unmount(get());  // nothing to libfuse, where the helper has mounted
    if (!std::exchange(by_helper_, false)) return;
    const int kernel = fuse_session_fd(get());
    pollfd poller = {.fd = kernel, .events = 0, .revents = 0};
    if (poll(&poller, 1, 0) > 0 && (poller.revents & POLLERR) != 0) return;  // it has ended
    // An unmount would wait for our answers.  The number stays taken until libfuse closes it.
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    dup3(null.get(), kernel, O_CLOEXEC);
    unmount_by_fusermount(mountpoint_, Unmount::at_once);
  }

 private:
  struct Destroy {
    void operator()(fuse_session* session) const noexcept { fuse_session_destroy(session); }
  };

  static std::string words_said() {
    return last_words.with([](const std::string& words) { return words; });
  }

  // The descriptor as libfuse takes it, and closes it at the end.
  [[nodiscard]] std::string mounted_by_helper(const std::vector<std::string>& options) const {
    const auto kernel = mount_by_helper(mountpoint_, options);
    return "/dev/fd/" + std::to_string(fcntl(kernel.get(), F_DUPFD_CLOEXEC, 3));
  }

  const std::filesystem::path mountpoint_;
  std::unique_ptr<fuse_session, Destroy> session_;
  bool by_helper_ = false;
};

// Signals that end a mount, as events on a descriptor.
class EndSignals {
 public:
  EndSignals() : event_(eventfd(0, EFD_CLOEXEC)) {
    if (event_ < 0) throw Error(Errc::internal, "signals: no more file descriptors");
    struct sigaction action = {};
    action.sa_handler = [](int) {
      const int before = errno;
      say();
      errno = before;
    };
    action.sa_flags = SA_RESTART;
    target() = event_;
    for (std::size_t i = 0; i < ends.size(); ++i) sigaction(ends[i], &action, &before_[i]);
    action.sa_handler = [](int) {};
    action.sa_flags = 0;  // its purpose is to interrupt
    sigaction(nudge, &action, &before_.back());
  }
  ~EndSignals() {
    for (std::size_t i = 0; i < ends.size(); ++i) sigaction(ends[i], &before_[i], nullptr);
    sigaction(nudge, &before_.back(), nullptr);
    target() = -1;
    close(event_);
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  static void say() noexcept {
    const std::uint64_t one = 1;
    if (write(target(), &one, sizeof one) < 0) return;  // nobody listens any more
  }
  void wait() const noexcept {
    std::uint64_t count = 0;
    while (read(event_, &count, sizeof count) < 0 && errno == EINTR) continue;
  }

 private:
  static std::atomic<int>& target() noexcept {
    static std::atomic<int> fd = -1;
    return fd;
  }
  static constexpr std::array ends = {SIGTERM, SIGINT, SIGHUP};

  const int event_;
  std::array<struct sigaction, ends.size() + 1> before_ = {};
};

}  // namespace

struct FuseSession::Impl {
  Impl(Filesystem& fs, SessionOptions wanted)
      : options(std::move(wanted)),
        pool(std::in_place, waiting_threads),
        shield(options.shield),
        side{fs, *pool, shield, options.ready, options.patience},
        session(side, options),
        notifier(session.get()) {}

  // Carries out the first signal; runs beside the serving thread.
  void end_on_signal(const std::stop_token& stop, pthread_t server) {
    signals.wait();
    if (stop.stop_requested()) return;
    try {
      nacre::unmount(options.mountpoint);
    } catch (const Error&) {  // in use: its users lose it
      notifier.stop();        // while requests are answered, for it waits for some
      fuse_session_exit(session.get());
    }
    // Serving sleeps on a semaphore of its own; a nudge that comes just before it
    // falls asleep is lost, hence more than one.
    std::unique_lock lock(mutex);
    while (!served.wait_for(lock, std::chrono::milliseconds(50), [this] { return ended; }))
      pthread_kill(server, nudge);
  }

  void serve() {
    std::jthread ender([this, server = pthread_self()](const std::stop_token& stop) {
      end_on_signal(stop, server);
    });
    const std::unique_ptr<fuse_loop_config, decltype(&fuse_loop_cfg_destroy)> config(
        fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
    fuse_loop_cfg_set_clone_fd(config.get(), 0);
    fuse_loop_cfg_set_max_threads(config.get(), reading_threads);
    fuse_loop_cfg_set_idle_threads(config.get(), reading_threads);
    const int rc = fuse_session_loop_mt(session.get(), config.get());
    if (rc < 0) log::error("the kernel's requests could not be read any more");
    {
      const std::lock_guard lock(mutex);
      ended = true;
    }
    served.notify_all();
    ender.request_stop();
    EndSignals::say();
    ender.join();
    notifier.stop();
    pool.reset();
    session.unmount();
  }

  const SessionOptions options;
  EndSignals signals;
  std::optional<Pool> pool;
  const Shield shield;
  FuseSide side;
  Session session;
  Notifier notifier;
  std::mutex mutex;
  std::condition_variable served;
  bool ended = false;  // guarded by mutex
};

FuseSession::FuseSession(Filesystem& fs, SessionOptions options) {
  check_mountpoint(options.mountpoint);
  impl_ = std::make_unique<Impl>(fs, std::move(options));
}

FuseSession::~FuseSession() = default;

Kernel& FuseSession::kernel() noexcept { return impl_->notifier; }

void FuseSession::serve() { impl_->serve(); }

void FuseSession::unmount() { nacre::unmount(impl_->options.mountpoint); }

}  // namespace nacre
