// SPDX-License-Identifier: Apache-2.0
//
// Programs that read whatever they find, such as thumbnailers and indexers, by the names that
// the kernel knows them by.  For them nothing is fetched: they get what is on this machine.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace nacre {

// Those of the usual desktops.
std::vector<std::string> usual_shield();

class Shield {
 public:
  explicit Shield(const std::vector<std::string>& programs);

  // Whether that thread is called so, or its process is.
  [[nodiscard]] bool covers(pid_t thread) const noexcept;

 private:
  [[nodiscard]] bool calls(pid_t who) const noexcept;

  std::set<std::string, std::less<>> names_;  // as the kernel cuts them
};

}  // namespace nacre
