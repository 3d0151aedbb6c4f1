// SPDX-License-Identifier: Apache-2.0
//
// GET /metrics on a port of this machine alone, for a monitoring system's collector.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace nacre {

class MetricsPage {
 public:
  // `text` is called for each request, by a thread of its own, and may throw.
  // Throws Error{busy} where the port cannot be had.
  MetricsPage(const std::string& address, int port, std::function<std::string()> text);
  ~MetricsPage();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
