# cashew_add_handler_tests(NAME HANDLERS FILE...): two programs with the tests of these files (cashew_test.h), for that library of handlers: NAME, on the
# stand-in store, and NAME-database.
#
# It serves this tree and, installed, projects outside of it.
function(cashew_add_handler_tests name handlers)
	set(stores_${name} cashew_kit_fake cashew_fake_store)
	set(stores_${name}-database cashew_kit_real cashew_store)
	set(objects "")
	if(ARGN)
		set(objects ${name}_objects)
		add_library(${objects} OBJECT ${ARGN})
		cashew_short_names(short_names)
		target_compile_options(${objects} PRIVATE ${short_names})
		target_link_libraries(${objects} PRIVATE cashewd::handler_flags cashewd::cashew_kit_api)
	endif()
	foreach(program IN ITEMS ${name} ${name}-database)
		list(GET stores_${program} 0 kit_store)
		list(GET stores_${program} 1 store)
		add_executable(${program})
		target_link_libraries(${program} PRIVATE cashewd::handler_flags ${objects} cashewd::cashew_kit cashewd::${kit_store} ${handlers} cashewd::cashew_run
			cashewd::handler cashewd::documents cashewd::settings cashewd::token cashewd::base cashewd::${store} cashewd::cashew_logging
			PkgConfig::MICROHTTPD PkgConfig::MONGOC PkgConfig::OPENSSL PkgConfig::JANSSON Threads::Threads)
		target_link_options(${program} PRIVATE
			LINKER:--wrap=store_now_ms,--wrap=store_documents_find,--wrap=store_documents_modify,--wrap=store_documents_write)
		set_target_properties(${program} PROPERTIES LINKER_LANGUAGE C RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
	endforeach()
endfunction()
