// SPDX-License-Identifier: Apache-2.0
//
// Figures for monitoring, as OpenMetrics text (version 1.0.0).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nacre {

// Writes one family after the other: begin(), its samples, the next.
class MetricsText {
 public:
  enum class Kind { counter, gauge };

  // `name` without the suffix "_total"; `unit`, where it has one, is its end.
  void begin(std::string_view name, Kind kind, std::string_view unit, std::string_view help);
  void sample(std::uint64_t value, std::string_view library = {});  // by its id

  // A family of one sample.
  void gauge(std::string_view name, std::string_view unit, std::string_view help,
             std::uint64_t value) {
    begin(name, Kind::gauge, unit, help);
    sample(value);
  }
  void counter(std::string_view name, std::string_view unit, std::string_view help,
               std::uint64_t value) {
    begin(name, Kind::counter, unit, help);
    sample(value);
  }

  // Which program it is; the text is whole then.
  std::string finish(std::string_view version) &&;

 private:
  std::string text_, name_;
  Kind kind_ = Kind::gauge;
};

}  // namespace nacre
