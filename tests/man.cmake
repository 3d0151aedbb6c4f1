# SPDX-License-Identifier: Apache-2.0
#
# Every subcommand has its part in the manual, and every option that its --help
# shows is in that part, and the other way round.
cmake_minimum_required(VERSION 3.25)

file(READ "${MANUAL}" manual)

# options_in_manual(heading result): the options in the part with this heading.
function(options_in_manual heading result)
  string(FIND "${manual}" "\n.Ss ${heading}\n" begin)
  if(begin EQUAL -1)
    message(SEND_ERROR "${MANUAL} has no part \"${heading}\"")
    set(${result} "" PARENT_SCOPE)
    return()
  endif()
  string(SUBSTRING "${manual}" ${begin} -1 part)
  string(SUBSTRING "${part}" 1 -1 part)
  string(REGEX MATCH "\n\\.S[sh] " next "${part}")
  string(FIND "${part}" "${next}" end)
  string(SUBSTRING "${part}" 0 ${end} part)
  string(REGEX MATCHALL "\n\\.It Fl [^\n]*" items "${part}")
  string(REGEX MATCHALL " -[a-z][a-z-]+" long "${items}")
  list(TRANSFORM long REPLACE " " "-")
  string(REGEX MATCHALL "Fl [a-z] " short "${items}")
  list(TRANSFORM short REPLACE "Fl ([a-z]) " "-\\1")
  set(${result} ${long} ${short} PARENT_SCOPE)
endfunction()

function(compare heading)
  execute_process(COMMAND "${PROGRAM}" ${ARGN} --help OUTPUT_VARIABLE help
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "\n  -[^ ]+" lines "${help}")
  string(REGEX MATCHALL "--?[a-z][a-z-]*" in_help "${lines}")
  options_in_manual("${heading}" in_manual)
  if(ARGN)  # said once for all, under general options
    list(REMOVE_ITEM in_help -h --help)
  endif()
  foreach(option IN LISTS in_help)
    if(NOT option IN_LIST in_manual)
      message(SEND_ERROR "${heading}: ${option} is not in ${MANUAL}")
    endif()
  endforeach()
  foreach(option IN LISTS in_manual)
    if(NOT option IN_LIST in_help AND NOT option STREQUAL "-h")
      message(SEND_ERROR "${heading}: ${option} is in ${MANUAL} only")
    endif()
  endforeach()
  # Its subcommands, two blanks in, after the heading of that name.
  string(REGEX MATCH "\nSubcommands:.*" rest "${help}")
  string(REGEX MATCHALL "\n  [a-z]+" names "${rest}")
  foreach(name IN LISTS names)
    string(STRIP "${name}" name)
    string(JOIN " " child nacre ${ARGN} ${name})
    compare("${child}" ${ARGN} ${name})
  endforeach()
endfunction()

compare("General options")
