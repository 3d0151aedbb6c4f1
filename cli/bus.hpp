// SPDX-License-Identifier: Apache-2.0
//
// D-Bus by libsystemd, as far as two files need it: objects that let go of themselves.
#pragma once

#include <systemd/sd-bus.h>

#include <cstdint>
#include <memory>

namespace nacre {

struct BusDeleter {
  void operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }
  void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
  void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, BusDeleter>;
using BusMessage = std::unique_ptr<sd_bus_message, BusDeleter>;
using BusSlot = std::unique_ptr<sd_bus_slot, BusDeleter>;

struct BusError : sd_bus_error {
  BusError() : sd_bus_error(SD_BUS_ERROR_NULL) {}
  ~BusError() { sd_bus_error_free(this); }
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
};

// By the function that sd-bus has for it; null where there is no such bus.  Its calls take no
// longer than five seconds.
inline Bus open_bus(int (*open)(sd_bus**)) noexcept {
  constexpr std::uint64_t patience = 5'000'000;  // microseconds
  sd_bus* bus = nullptr;
  if (open(&bus) < 0) return nullptr;
  sd_bus_set_method_call_timeout(bus, patience);
  return Bus(bus);
}

}  // namespace nacre
