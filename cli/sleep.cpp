// SPDX-License-Identifier: Apache-2.0
#include "cli/sleep.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "cli/bus.hpp"
#include "fs/control.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr auto time_to_ready = 4s;     // logind waits for five seconds by itself
constexpr auto without_logind = 1min;  // between two tries to reach it
constexpr const char* service = "org.freedesktop.login1";
constexpr const char* object = "/org/freedesktop/login1";
constexpr const char* interface = "org.freedesktop.login1.Manager";

}  // namespace

struct SleepGuard::Impl {
  Impl(const std::filesystem::path& mountpoint, OnSleep what)
      : socket(control_path(mountpoint)),
        on_sleep(what),
        wake(::eventfd(0, EFD_CLOEXEC)),
        thread([this](const std::stop_token& stop) { run(stop); }) {}

  ~Impl() {
    thread.request_stop();
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto woken = ::write(wake.get(), &one, sizeof one);
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (auto bus = open_bus(sd_bus_open_system)) listen(*bus, stop);
      delay.reset();
      if (asleep) prepare(false);  // nobody is left to tell when it is over
      wait(wake.get(), 0, without_logind);
    }
  }

  // Until the bus is lost.
  void listen(sd_bus& bus, const std::stop_token& stop) {
    sd_bus_slot* slot = nullptr;
    const int rc = sd_bus_match_signal(&bus, &slot, service, object, interface, "PrepareForSleep",
                                       on_signal, this);
    const BusSlot match(slot);
    if (rc < 0) return;
    inhibit(bus);
    while (!stop.stop_requested()) {
      const int done = sd_bus_process(&bus, nullptr);
      if (done < 0) return;
      if (done > 0) continue;
      // On the way out of a sleep, and not from within its signal.
      if (!asleep && delay.get() < 0) inhibit(bus);
      wait(sd_bus_get_fd(&bus), sd_bus_get_events(&bus), without_logind);
    }
  }

  // Until something comes, or this is to end.
  void wait(int fd, int events, std::chrono::milliseconds most) const {
    std::array<pollfd, 2> pollers = {pollfd{wake.get(), POLLIN, 0},
                                     pollfd{fd, static_cast<short>(events), 0}};
    ::poll(pollers.data(), pollers.size(), static_cast<int>(most.count()));
  }

  void inhibit(sd_bus& bus) {
    BusError error;
    sd_bus_message* answer = nullptr;
    int fd = -1;
    const int rc =
        sd_bus_call_method(&bus, service, object, interface, "Inhibit", &error, &answer, "ssss",
                           "sleep", "nacre", "Unsent changes are put on the disk", "delay");
    const BusMessage owned(answer);
    if (rc < 0 || sd_bus_message_read(answer, "h", &fd) < 0) return;
    delay = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));  // the message's own goes with it
  }

  static int on_signal(sd_bus_message* message, void* self, sd_bus_error*) noexcept {
    int begins = 0;
    if (sd_bus_message_read(message, "b", &begins) >= 0)
      static_cast<Impl*>(self)->prepare(begins != 0);
    return 0;
  }

  void prepare(bool begins) noexcept {
    asleep = begins;
    tell(begins ? "sleep" : "wake");
    if (begins && on_sleep == OnSleep::lock) tell("lock");
    if (begins) delay.reset();  // now it may
  }

  void tell(const char* word) noexcept try {
    log::info(std::string("logind: ") + word);
    const auto reply =
        control_call(socket, {.words = {word}, .secret = std::nullopt}, time_to_ready);
    if (reply.status != 0) log::warning(std::string(word) + ": " + reply.text);
  } catch (const std::exception& error) {
    log::warning(std::string(word) + ": " + error.what());
  }

  const std::filesystem::path socket;
  const OnSleep on_sleep;
  Fd wake;   // tells the thread to end
  Fd delay;  // the thread's own: logind waits until it is closed
  bool asleep = false;
  std::jthread thread;  // last: ends first
};

SleepGuard::SleepGuard(const std::filesystem::path& mountpoint, OnSleep what)
    : impl_(std::make_unique<Impl>(mountpoint, what)) {}

SleepGuard::~SleepGuard() = default;

}  // namespace nacre
