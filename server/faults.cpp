// SPDX-License-Identifier: Apache-2.0
#include "server/faults.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

using Action = Fault::Action;

constexpr std::size_t most_rules = 1000;

struct ActionWord {
  const char* word;
  Action action;
  std::uint32_t least, most;  // of its number; 0, 0: it has none
};
constexpr std::array<ActionWord, 10> action_words = {{
    {"reset", Action::reset, 0, 0},
    {"hang", Action::hang, 1, 600},
    {"delay", Action::delay, 1, 600'000},
    {"slow", Action::slow, 1, 1'000'000'000},
    {"truncate", Action::truncate, 0, 0},
    {"corrupt", Action::corrupt, 0, 0},
    {"wrong-id", Action::wrong_id, 0, 0},
    {"status", Action::status, 400, 599},
    {"lose-answer", Action::lose_answer, 0, 0},
    {"move-head", Action::move_head, 0, 0},
}};

[[noreturn]] void refuse(const std::string& why) { throw Error(Errc::invalid, why); }

std::uint32_t number_in(const std::string& word, const std::string& of, std::uint32_t least,
                        std::uint32_t most) {
  std::uint32_t number = 0;
  const auto* end = word.data() + word.size();
  const auto [read, error] = std::from_chars(word.data(), end, number);
  if (word.empty() || error != std::errc() || read != end || number < least || number > most)
    refuse(of + " wants a number from " + std::to_string(least) + " to " + std::to_string(most) +
           (word.empty() ? "" : ", not '" + word + "'"));
  return number;
}

}  // namespace

Faults::Rule Faults::read_rule(const std::string& line) {
  std::istringstream words(line);
  const auto next = [&] {
    std::string word;
    words >> word;
    return word;
  };
  Rule rule;
  rule.method = next();
  constexpr std::array<std::string_view, 5> methods = {"*", "GET", "PUT", "POST", "DELETE"};
  if (std::ranges::find(methods, rule.method) == methods.end())
    refuse("'" + rule.method + "' is no method; GET, PUT, POST, DELETE or * is expected");
  const auto pattern = next();
  if (pattern.empty()) refuse("a regular expression for the path is expected after the method");
  try {
    rule.target.assign(pattern, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    refuse("'" + pattern + "' is not a regular expression");
  }
  const auto action = next();
  const auto* known = std::ranges::find(action_words, action, &ActionWord::word);
  if (known == action_words.end()) {
    std::string all;
    for (const auto& each : action_words) all += std::string(all.empty() ? "" : ", ") + each.word;
    refuse("'" + action + "' is no action; one of these is expected: " + all);
  }
  rule.fault.action = known->action;
  if (known->most != 0) rule.fault.number = number_in(next(), action, known->least, known->most);
  const auto when = next();
  if (when == "first")
    rule.when = Rule::When::first;
  else if (when == "every")
    rule.when = Rule::When::every;
  else if (when == "after")
    rule.when = Rule::When::after;
  else if (!when.empty())
    refuse("'" + when + "' is not when; first N, every N, after N or nothing is expected");
  if (!when.empty()) rule.limit = number_in(next(), when, 1, 1'000'000'000);
  if (const auto rest = next(); !rest.empty())
    refuse("nothing more is expected, but there is '" + rest + "'");
  return rule;
}

bool Faults::Rule::applies() {
  ++seen;
  switch (when) {
    case When::first: return seen <= limit;
    case When::every: return seen % limit == 0;
    case When::after: return seen > limit;
    case When::always: break;
  }
  return true;
}

Faults::Faults(std::filesystem::path file) : file_(std::move(file)) {
  stamp_ = stamp_of(file_);
  if (stamp_) read();
}

void Faults::read() {
  std::ifstream in(file_);
  std::vector<Rule> rules;
  std::string line;
  std::size_t number = 0;
  while (std::getline(in, line)) {
    ++number;
    const auto start = line.find_first_not_of(" \t\r");
    if (start == std::string::npos || line[start] == '#') continue;
    try {
      if (rules.size() == most_rules) refuse("more than " + std::to_string(most_rules) + " rules");
      rules.push_back(read_rule(line));
    } catch (const Error& error) {
      throw Error(error.code(),
                  file_.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  if (number == 0 && !in.eof())
    throw Error(Errc::invalid, file_.string() + ": cannot be read; a file of rules is expected");
  rules_ = std::move(rules);
}

std::vector<Fault> Faults::of(const std::string& method, const std::string& target) {
  const std::lock_guard lock(mutex_);
  if (auto stamp = stamp_of(file_); stamp != stamp_) {
    stamp_ = stamp;
    try {
      if (stamp)
        read();
      else
        rules_.clear();
    } catch (const Error& error) {
      log::error(std::string(error.what()) + "; the rules from before stay");
    }
  }
  std::vector<Fault> faults;
  for (auto& rule : rules_) {
    if (rule.method != "*" && rule.method != method) continue;
    if (!std::regex_search(target, rule.target) || !rule.applies()) continue;
    faults.push_back(rule.fault);
    if (rule.fault.action != Action::delay) break;
  }
  return faults;
}

bool Faults::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopping_.wait_for(lock, time, [this] { return stopped_; });
}

void Faults::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stopping_.notify_all();
}

}  // namespace nacre
