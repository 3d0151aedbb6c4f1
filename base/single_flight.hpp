// SPDX-License-Identifier: Apache-2.0
//
// One fetch of a thing, however many wait for it, each with its own patience
// (base/waiting.hpp).  Any thread may call any member.  A failure is shared by those
// who waited and forgotten then: whoever comes next tries again.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "base/waiting.hpp"

namespace nacre {

template <class Key, class Value>
class SingleFlight {
  struct Flight {
    std::shared_ptr<Heard> heard = waiting::here.heard;  // by who fetches; may be null
    bool over = false;
    std::optional<Value> value;
    std::optional<Errc> code;  // of the failure, kept as words: threads share no exception
    std::string why;
  };

 public:
  // The right to fetch `key`.  Whoever waits is answered by land() or fail();
  // where the ticket goes without either, those who waited try for themselves.
  class Ticket {
   public:
    Ticket(SingleFlight& flights, Key key) : flights_(&flights), key_(std::move(key)) {}
    Ticket(Ticket&& other) noexcept
        : flights_(std::exchange(other.flights_, nullptr)), key_(other.key_) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      end([](Flight&) {});
    }

    [[nodiscard]] const Key& key() const noexcept { return key_; }
    void land(Value value) {
      end([&](Flight& flight) { flight.value = std::move(value); });
    }
    void fail(const Error& error) {
      end([&](Flight& flight) {
        flight.why = error.what();
        flight.code = error.code();
      });
    }

   private:
    template <class F>
    void end(F&& fill) {
      if (auto* flights = std::exchange(flights_, nullptr)) flights->end(key_, fill);
    }

    SingleFlight* flights_;
    Key key_;
  };

  // Nullopt: somebody is at it.
  std::optional<Ticket> begin(const Key& key) {
    const std::lock_guard lock(mutex_);
    if (!flights_.emplace(key, std::make_shared<Flight>()).second) return std::nullopt;
    return std::optional<Ticket>(std::in_place, *this, key);
  }

  // The result of `work`, ours or that of a thread which began before us.
  // Throws Error{interrupted, unreachable} where our own patience ends first.
  template <class Work>
  Value run(const Key& key, Work&& work) {
    auto waits = waiting::here;
    if (!waits.heard) waits.heard = std::make_shared<Heard>(Waiting::Clock::now());
    const WaitAs audible(std::move(waits));  // for those who wait for us
    for (;;) {
      if (auto ticket = begin(key)) {
        try {
          Value value = work();
          ticket->land(value);
          return value;
        } catch (const Error& e) {
          // That nobody needs it here any more says nothing to those who waited.
          if (e.code() != Errc::interrupted) ticket->fail(e);
          throw;
        }
      }
      if (auto value = join(key)) return *std::move(value);
    }
  }

 private:
  std::optional<Value> join(const Key& key) {
    std::unique_lock lock(mutex_);
    const auto found = flights_.find(key);
    if (found == flights_.end()) return std::nullopt;
    const std::shared_ptr<Flight> flight = found->second;
    const auto how = waiting::wait(
        over_, lock, [&] { return flight->over; }, flight->heard.get());
    if (how != waiting::End::done) waiting::fail(how);
    if (flight->code) throw Error(*flight->code, flight->why);
    return flight->value;
  }

  template <class F>
  void end(const Key& key, F& fill) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = flights_.find(key);
      fill(*found->second);
      found->second->over = true;
      flights_.erase(found);
    }
    over_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any over_;
  std::unordered_map<Key, std::shared_ptr<Flight>> flights_;  // guarded by mutex_
};

}  // namespace nacre
