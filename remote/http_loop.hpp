// SPDX-License-Identifier: Apache-2.0
//
// The thread that drives all transfers of an Http, and what it shares with those
// who wait for them.  For http.cpp only; knows no retries and no redirects.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "remote/http.hpp"
#include "remote/token_bucket.hpp"

namespace nacre {

// What became of one try.
struct HttpOutcome {
  std::optional<Errc> failure;  // no (whole) answer; `why` says more
  std::string why;
  bool passing = false;    // another try may heal the failure
  bool delivered = false;  // a sink has seen bytes already
  HttpReply reply;
};

class HttpLoop {
 public:
  HttpLoop(const HttpOptions& options, bool loopback);
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  // Ends all transfers; what is attempted from now on is Errc::interrupted.
  void close();

  // One try, bounded by the request's time_limit, and by the caller's patience
  // (base/waiting.hpp), after which nothing of it goes on.
  HttpOutcome attempt(const HttpRequest& request, const std::string& url);

  // False if the loop is closed, or the caller's patience ends, meanwhile.
  bool pause(std::chrono::milliseconds time);

  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] const HttpOptions& options() const noexcept { return options_; }

 private:
  struct Multi;
  struct Transfer;
  using Shared = std::shared_ptr<Transfer>;  // with the one who waits for it
  using Queue = std::deque<Shared>;

  void run(const std::stop_token& stop);
  void admit();
  void drop_abandoned();
  void start(const Shared& transfer);
  bool prepare(Transfer& transfer);
  bool collect();
  void share_limits();
  void finish(Transfer& transfer, std::optional<Errc> failure, const char* why);

  const HttpOptions options_;
  const bool loopback_;
  const std::size_t bulk_places_;
  std::unique_ptr<Multi> multi_;
  std::list<Shared> active_;  // the thread's own, as are the next
  std::size_t active_bulk_ = 0;
  TokenBucket download_, upload_;
  std::chrono::milliseconds pause_{0};  // until a limit lets the next one begin
  mutable std::mutex mutex_;
  std::condition_variable_any closing_;
  bool closed_ = false;          // guarded by mutex_, as are the next
  bool abandoned_ = false;       // a transfer that nobody waits for any more is to be dropped
  Queue small_, urgent_, bulk_;  // not begun yet; in the order in which they are
  std::jthread thread_;          // last in, first out
};

}  // namespace nacre
