// SPDX-License-Identifier: Apache-2.0
#include "cli/if_interrupted.hpp"

#include <unistd.h>

#include <atomic>

#include "cli/terminal.hpp"

namespace nacre {
namespace {

std::atomic<const std::string*> to_say = nullptr;

void say(int signal) {
  if (const auto* text = to_say.load()) {
    [[maybe_unused]] const auto n = ::write(STDERR_FILENO, text->data(), text->size());
  }
  ::raise(signal);  // it is followed as ever, once this returns
}

}  // namespace

IfInterrupted::IfInterrupted(const std::string& what_goes_on)
    : text_((terminal::is_one(STDERR_FILENO) ? "\r\x1b[K" : "") + ("nacre: " + what_goes_on) +
            "\n") {
  to_say = &text_;
  struct sigaction action = {};
  action.sa_handler = say;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    ::sigaction(signals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(signals[i], &action, nullptr);
  }
}

IfInterrupted::~IfInterrupted() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
  to_say = nullptr;
}

}  // namespace nacre
