package com.google.mediapipe.tasks.core

interface BaseOptions {
    interface Builder {
        fun setModelAssetPath(path: String): Builder
        fun build(): BaseOptions
    }

    companion object {
        fun builder(): Builder = TODO()
    }
}
