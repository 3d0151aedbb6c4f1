// SPDX-License-Identifier: Apache-2.0
#include "server/browser_logins.hpp"

#include <utility>

#include "crypto/random.hpp"

namespace nacre {
namespace {

constexpr std::chrono::minutes lifetime{5};
constexpr std::size_t most = 1000;  // anybody can begin one

}  // namespace

void BrowserLogins::drop_old(Entries& entries) {
  const auto oldest = std::chrono::steady_clock::now() - lifetime;
  std::erase_if(entries, [&](const auto& entry) { return entry.second.begun < oldest; });
  while (entries.size() >= most) entries.erase(entries.begin());
}

std::string BrowserLogins::begin() {
  auto number = random_id().hex();
  entries_.with([&](Entries& entries) {
    drop_old(entries);
    entries[number].begun = std::chrono::steady_clock::now();
    return 0;
  });
  return number;
}

bool BrowserLogins::waits(const std::string& number) const {
  return entries_.with([&](Entries& entries) {
    drop_old(entries);
    const auto found = entries.find(number);
    return found != entries.end() && found->second.login.user.empty();
  });
}

void BrowserLogins::finish(const std::string& number, Login login) {
  entries_.with([&](Entries& entries) {
    if (const auto found = entries.find(number); found != entries.end())
      found->second.login = std::move(login);
    return 0;
  });
}

std::optional<BrowserLogins::Login> BrowserLogins::look(const std::string& number) {
  return entries_.with([&](Entries& entries) -> std::optional<Login> {
    drop_old(entries);
    const auto found = entries.find(number);
    if (found == entries.end()) return std::nullopt;
    auto login = found->second.login;
    if (!login.user.empty()) entries.erase(found);
    return login;
  });
}

}  // namespace nacre
