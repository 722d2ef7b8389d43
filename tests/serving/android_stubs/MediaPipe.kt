/* The calls of MediaPipe's tasks, by the names that its reference has; nothing runs. */
package com.google.mediapipe.tasks.vision.objectdetector

import android.content.Context
import android.graphics.RectF
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.RunningMode

interface Category {
    fun categoryName(): String
    fun score(): Float
}

interface Detection {
    fun boundingBox(): RectF
    fun categories(): List<Category>
}

interface ObjectDetectorResult {
    fun detections(): List<Detection>
}

abstract class ObjectDetector : AutoCloseable {
    abstract fun detect(image: MPImage): ObjectDetectorResult

    interface ObjectDetectorOptions {
        interface Builder {
            fun setBaseOptions(options: BaseOptions): Builder
            fun setRunningMode(mode: RunningMode): Builder
            fun setScoreThreshold(score: Float): Builder
            fun build(): ObjectDetectorOptions
        }

        companion object {
            fun builder(): Builder = TODO()
        }
    }

    companion object {
        fun createFromOptions(context: Context, options: ObjectDetectorOptions): ObjectDetector = TODO()
    }
}
