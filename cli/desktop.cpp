// SPDX-License-Identifier: Apache-2.0
#include "cli/desktop.hpp"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "base/log.hpp"
#include "cli/bus.hpp"
#include "fs/control.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto pause = 5s;              // between two looks at what needs a person
constexpr auto without_desktop = 1min;  // between two tries to reach it
constexpr const char* name = "org.freedesktop.Notifications";
constexpr const char* path = "/org/freedesktop/Notifications";

// What a cause is called on the screen, by the daemon's word for it.
const char* summary_of(const std::string& kind) {
  if (kind == "password") return "A password is wanted";
  if (kind == "deletions") return "Many deletions wait for your word";
  if (kind == "quota") return "The account is full";
  if (kind == "rollback") return "The server went back to an older state";
  if (kind == "conflict") return "Conflict copies were made";
  return "Something needs you";
}

// What only the server can end.
bool is_the_servers(const std::string& kind) { return kind == "quota" || kind == "rollback"; }

// Desktops may take a body for markup.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

struct Cause {
  std::string kind, text;
  bool operator==(const Cause&) const = default;
};

// By what stays the same while a cause lasts.
using Causes = std::map<std::string, Cause>;

Causes read_causes(const std::string& lines) {
  Causes causes;
  std::istringstream in(lines);
  std::string kind, library, text;
  while (std::getline(in, kind, '\t') && std::getline(in, library, '\t') && std::getline(in, text))
    causes[kind + library] = {kind, text};
  return causes;
}

}  // namespace

struct Desktop::Impl {
  explicit Impl(const std::filesystem::path& mountpoint)
      : socket(control_path(mountpoint)),
        thread([this](const std::stop_token& stop) { run(stop); }) {}

  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!woken.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); })) {
      lock.unlock();
      look();
      lock.lock();
    }
    for (const auto& [key, each] : shown) close(each.id);
  }

  void look() noexcept try {
    const auto reply = control_call(socket, {.words = {"attention"}, .secret = std::nullopt}, 10s);
    if (reply.status != 0) return;
    auto causes = read_causes(reply.text);
    const bool away = causes.erase("away") > 0;
    std::erase_if(shown, [&](const auto& each) {
      const auto& [key, before] = each;
      const bool over = !causes.contains(key) && !(away && is_the_servers(before.cause.kind));
      if (over) close(before.id);
      return over;
    });
    for (const auto& [key, cause] : causes) show(shown[key], cause);
  } catch (const std::exception& error) {
    log::debug(std::string("notifications: ") + error.what());
  }

  struct Shown {
    std::uint32_t id = 0;  // the desktop's; 0: it has not been shown
    Cause cause;
  };

  // In the place of what was shown of it before.
  void show(Shown& before, const Cause& cause) {
    if (before.cause == cause || !reach()) return;
    BusError error;
    sd_bus_message* answer = nullptr;
    const auto body = escaped(cause.text);
    const int rc =
        sd_bus_call_method(bus.get(), name, path, name, "Notify", &error, &answer, "susssasa{sv}i",
                           "nacre", before.id, "", summary_of(cause.kind), body.c_str(), 0, 0, -1);
    const BusMessage owned(answer);
    if (rc < 0 || sd_bus_message_read(answer, "u", &before.id) < 0) {
      bus.reset();
      return;
    }
    before.cause = cause;
  }

  void close(std::uint32_t id) noexcept {
    if (id == 0 || !bus) return;
    BusError error;  // the person may have closed it before
    sd_bus_call_method(bus.get(), name, path, name, "CloseNotification", &error, nullptr, "u", id);
  }

  bool reach() {
    if (bus && sd_bus_is_open(bus.get()) > 0) return true;
    if (Clock::now() < next_try) return false;
    next_try = Clock::now() + without_desktop;
    bus = open_bus(sd_bus_open_user);
    return bus != nullptr;
  }

  const std::filesystem::path socket;
  Bus bus;  // the thread's own, as are the next
  Clock::time_point next_try = {};
  std::map<std::string, Shown> shown;
  std::mutex mutex;
  std::condition_variable_any woken;
  std::jthread thread;  // last: ends first
};

Desktop::Desktop(const std::filesystem::path& mountpoint)
    : impl_(std::make_unique<Impl>(mountpoint)) {}

Desktop::~Desktop() = default;

}  // namespace nacre
