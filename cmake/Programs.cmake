# cashew_add_programs(NAME HANDLERS): cashewd and cashewd-host with that library of handlers, called NAME and NAME-host. To build NAME builds
# both.
function(cashew_add_programs name handlers)
	set(programs ${PROJECT_SOURCE_DIR}/runtime/programs)
	add_executable(${name} ${programs}/cashewd.c)
	target_link_libraries(${name} PRIVATE cashew_flags ${handlers} supervisor doctor top dead_letters handler settings base cashew_api cashew_logging
		cashew_store PkgConfig::MOSQUITTO PkgConfig::MONGOC)
	target_compile_definitions(${name} PRIVATE CASHEW_VERSION="${PROJECT_VERSION}")
	add_dependencies(${name} ${name}-host)

	add_executable(${name}-host ${programs}/cashewd_host.c)
	target_link_libraries(${name}-host PRIVATE cashew_flags ${handlers} host host_parking host_worker handler base cashew_store)

	set_target_properties(${name} ${name}-host PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()

# cashew_split_debug(DESTINATION TARGET...): in a release build the debug information of programs and plugins that are installed there goes into
# .debug/NAME.debug beside each, where addr2line, gdb and perf look by themselves.
function(cashew_split_debug destination)
	if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR NOT CMAKE_OBJCOPY)
		return()
	endif()
	foreach(target IN LISTS ARGN)
		set(folder $<TARGET_FILE_DIR:${target}>/.debug)
		set(file ${folder}/$<TARGET_FILE_NAME:${target}>.debug)
		add_custom_command(TARGET ${target} POST_BUILD VERBATIM
			COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
			COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:${target}> ${file}
			COMMAND ${CMAKE_OBJCOPY} --strip-debug --add-gnu-debuglink=${file} $<TARGET_FILE:${target}>)
		install(FILES ${file} DESTINATION ${destination}/.debug)
	endforeach()
endfunction()
