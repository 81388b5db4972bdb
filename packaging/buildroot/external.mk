include $(sort $(wildcard $(BR2_EXTERNAL_DMA_OWNER_DEBUG_PATH)/dma-owner-debug/*.mk))
