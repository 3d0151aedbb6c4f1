// SPDX-License-Identifier: Apache-2.0
#include "fs/metrics.hpp"

#include <utility>

namespace nacre {

void MetricsText::begin(std::string_view name, Kind kind, std::string_view unit,
                        std::string_view help) {
  name_ = name;
  kind_ = kind;
  text_ += "# TYPE " + name_ + (kind == Kind::counter ? " counter\n" : " gauge\n");
  if (!unit.empty()) text_ += "# UNIT " + name_ + " " + std::string(unit) + "\n";
  text_ += "# HELP " + name_ + " " + std::string(help) + "\n";
}

void MetricsText::sample(std::uint64_t value, std::string_view library) {
  text_ += name_ + (kind_ == Kind::counter ? "_total" : "");
  if (!library.empty()) text_ += "{library=\"" + std::string(library) + "\"}";
  text_ += " " + std::to_string(value) + "\n";
}

std::string MetricsText::finish(std::string_view version) && {
  text_ += "# TYPE nacre_build info\n# HELP nacre_build The program.\nnacre_build_info{version=\"" +
           std::string(version) + "\"} 1\n# EOF\n";
  return std::move(text_);
}

}  // namespace nacre
